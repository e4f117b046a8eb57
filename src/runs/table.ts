import { randomFillSync } from 'node:crypto';
import { sql } from 'kysely';
import type { Principal, Progress, Question, Via } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import type { Db, Tables } from '../store/tables.ts';
import { openQuestion } from './questions.ts';

/** Which run. */
export interface RunKey {
  tenant: string;
  id: string;
}

export type RunState = 'running' | 'asks' | 'done' | 'failed' | 'cancelled';

/** What it takes to go on with a run in any process. */
export interface RunRequest {
  input: unknown;
  principal: Principal;
  via: Via;
}

/** A call that is kept. Times are milliseconds since 1970. */
export interface Run {
  id: string;
  tool: string;
  version?: string;
  principal: string;
  state: RunState;
  /** Of a run that is done. */
  value?: unknown;
  /** Of a run that failed or was cancelled: what WeaverError.toJSON gives. */
  error?: ReturnType<WeaverError['toJSON']>;
  question?: Question;
  progress?: Progress;
  request?: RunRequest;
  createdAt: number;
  updatedAt: number;
  expiresAt: number;
}

export interface NewRun {
  id: string;
  tool: string;
  version?: string | undefined;
  request: RunRequest;
  state: RunState;
  value?: unknown;
  key?: { idempotencyKey: string; inputHash: string } | undefined;
  /** While it runs or asks: until when the process that runs it has promised to say so again, or somebody may answer. */
  leaseUntil?: number;
  expiresAt: number;
}

/** How long the outcome of a plain call is kept, and that of a run that went on in the background or asked. */
export const retentionMs = Object.freeze({ plain: 3_600_000, kept: 30 * 86_400_000 });

const idBytes = 9;
const idPool = Buffer.alloc(idBytes * 128);
let idPoolAt = idPool.length;

/** 72 random bits, drawn in stock: every call has an id, and the kernel is slow to ask. */
export function newRunId(): string {
  if (idPoolAt === idPool.length) {
    randomFillSync(idPool);
    idPoolAt = 0;
  }
  const id = idPool.toString('base64url', idPoolAt, idPoolAt + idBytes);
  idPoolAt += idBytes;
  return `run_${id}`;
}

/** Adds a run; false when the principal has one with the same idempotency key. Forgets what has expired. */
export async function insertRun(trx: Db, run: NewRun, now: number): Promise<boolean> {
  await trx.deleteFrom('runs').where('expires_at', '<', now).execute();
  const { principal } = run.request;
  const row: Tables['runs'] = {
    tenant: principal.tenant,
    id: run.id,
    tool: run.tool,
    version: run.version ?? null,
    principal: principal.id,
    state: run.state,
    outcome: JSON.stringify(run.value ?? null),
    created_at: now,
    updated_at: now,
    expires_at: run.expiresAt,
    request: JSON.stringify(run.request),
    progress: null,
    lease_until: run.leaseUntil ?? null,
    idempotency_key: run.key?.idempotencyKey ?? null,
    input_hash: run.key?.inputHash ?? null,
  };
  const { numInsertedOrUpdatedRows } = await trx
    .insertInto('runs')
    .values(row)
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  return Number(numInsertedOrUpdatedRows ?? 0) > 0;
}

/** Ends a run that is under way; false when it has ended already. */
export async function endRun(
  trx: Db,
  { tenant, id }: RunKey,
  end: { state: RunState; outcome: unknown; expiresAt: number },
  now: number,
): Promise<boolean> {
  const { numUpdatedRows } = await trx
    .updateTable('runs')
    .set({
      state: end.state,
      outcome: JSON.stringify(end.outcome ?? null),
      updated_at: now,
      expires_at: end.expiresAt,
      lease_until: null,
    })
    .where('tenant', '=', tenant)
    .where('id', '=', id)
    .where('state', 'in', ['running', 'asks'])
    .executeTakeFirst();
  return Number(numUpdatedRows) > 0;
}

/** Moves a run from one state to another, or gives it new times; false when it is in another state by now. */
export async function moveRun(
  trx: Db,
  { tenant, id }: RunKey,
  from: RunState,
  { state, leaseUntil, expiresAt }: { state: RunState; leaseUntil: number; expiresAt: number },
  now: number,
): Promise<boolean> {
  const { numUpdatedRows } = await trx
    .updateTable('runs')
    .set({ state, updated_at: now, lease_until: leaseUntil, expires_at: expiresAt })
    .where('tenant', '=', tenant)
    .where('id', '=', id)
    .where('state', '=', from)
    .executeTakeFirst();
  return Number(numUpdatedRows) > 0;
}

/** Forgets a run that is under way, so that its idempotency key is free again. */
export async function dropRun(trx: Db, { tenant, id }: RunKey): Promise<void> {
  await trx
    .deleteFrom('runs')
    .where('tenant', '=', tenant)
    .where('id', '=', id)
    .where('state', '=', 'running')
    .execute();
}

/** Renews the promise of a process to its runs, with how far they are; gives those that are not running any more. */
export async function renewLease(
  trx: Db,
  runs: readonly (RunKey & { progress?: Progress | undefined })[],
  leaseUntil: number,
): Promise<Set<string>> {
  const ended = new Set<string>();
  for (const { tenant, id, progress } of runs) {
    const { numUpdatedRows } = await trx
      .updateTable('runs')
      .set({ lease_until: leaseUntil, ...(progress && { progress: JSON.stringify(progress) }) })
      .where('tenant', '=', tenant)
      .where('id', '=', id)
      .where('state', '=', 'running')
      .executeTakeFirst();
    if (Number(numUpdatedRows) === 0) ended.add(id);
  }
  return ended;
}

/** A run that has not expired. */
export async function findRun(db: Db, { tenant, id }: RunKey, now: number): Promise<Run | undefined> {
  const row = await db
    .selectFrom('runs')
    .selectAll()
    .where('tenant', '=', tenant)
    .where('id', '=', id)
    .where('expires_at', '>=', now)
    .executeTakeFirst();
  return row && toRun(row, now, await openQuestion(db, row));
}

/** The run that a principal began with an idempotency key, and the hash of its input. */
export async function findByKey(
  db: Db,
  { tenant, id }: Pick<Principal, 'tenant' | 'id'>,
  key: string,
  now: number,
): Promise<{ run: Run; inputHash: string } | undefined> {
  const row = await db
    .selectFrom('runs')
    .selectAll()
    .where('tenant', '=', tenant)
    .where('principal', '=', id)
    .where('idempotency_key', '=', key)
    .where('expires_at', '>=', now)
    .executeTakeFirst();
  return row && { run: toRun(row, now, await openQuestion(db, row)), inputHash: row.input_hash ?? '' };
}

/** Runs of a tenant, newest first, without their values; only those of one principal when it is given. */
export async function listRuns(
  db: Db,
  tenant: string,
  filter: { principal?: string | undefined; state?: RunState | undefined; limit: number },
  now: number,
): Promise<Run[]> {
  let query = db
    .selectFrom('runs')
    .select(briefColumns)
    // A hundred values of a megabyte would be read for nothing.
    .select(sql<string>`case when state in ('failed', 'cancelled') then outcome else 'null' end`.as('outcome'))
    .where('tenant', '=', tenant)
    .where('expires_at', '>=', now);
  if (filter.principal !== undefined) query = query.where('principal', '=', filter.principal);
  if (filter.state !== undefined) query = query.where(isInState(filter.state, now));
  const rows = await query.orderBy('created_at', 'desc').orderBy('id').limit(filter.limit).execute();
  return Promise.all(
    rows.map(async (row) => {
      const whole = { ...row, request: null, idempotency_key: null, input_hash: null };
      const { value, ...run } = toRun(whole, now, await openQuestion(db, whole));
      return run;
    }),
  );
}

const briefColumns = [
  'tenant',
  'id',
  'tool',
  'version',
  'principal',
  'state',
  'created_at',
  'expires_at',
  'progress',
  'updated_at',
  'lease_until',
] as const;

/** The state as `toRun` gives it: one whose lease is over has failed. */
const isInState = (state: RunState, now: number) => {
  const isLost = sql<boolean>`(state in ('running', 'asks') and lease_until < ${now})`;
  return state === 'failed'
    ? sql<boolean>`(state = 'failed' or ${isLost})`
    : sql<boolean>`(state = ${state} and not ${isLost})`;
};

function toRun(row: Tables['runs'], now: number, question: Question | undefined): Run {
  const outcome = JSON.parse(row.outcome);
  const lost = lostError(row, now);
  const state = lost ? 'failed' : (row.state as RunState);
  return {
    id: row.id,
    tool: row.tool,
    ...(row.version !== null && { version: row.version }),
    principal: row.principal,
    state,
    ...(state === 'done' && { value: outcome }),
    ...((state === 'failed' || state === 'cancelled') && { error: lost ?? outcome }),
    ...(state === 'asks' && question && { question }),
    ...(row.progress !== null && { progress: JSON.parse(row.progress) }),
    ...(row.request !== null && { request: JSON.parse(row.request) }),
    createdAt: row.created_at,
    updatedAt: row.updated_at ?? row.created_at,
    expiresAt: row.expires_at,
  };
}

// A run says that it runs, but nobody has renewed its lease; or it asks, and the time to answer is over.
function lostError({ state, lease_until, tool }: Tables['runs'], now: number) {
  if ((state !== 'running' && state !== 'asks') || lease_until === null || lease_until >= now) return undefined;
  return state === 'running'
    ? new WeaverError('unavailable', `${tool} was lost: the process that ran it ended.`, {
        hint: 'Call it again, if what it may have done already allows that.',
      }).toJSON()
    : new WeaverError('timed_out', `Nobody answered what ${tool} asked in time.`, { hint: 'Call it again.' }).toJSON();
}
