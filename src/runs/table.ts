import { randomFillSync } from 'node:crypto';
import { sql } from 'kysely';
import type { Principal, Progress, Question, Via } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import { forgetLater } from '../store/forgetting.ts';
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
  idempotencyKey?: string;
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
  /** While it runs: a time that its holder moves on again and again. While it asks: until when somebody may answer. */
  leaseUntil?: number;
  /** While it runs: who may write its end. */
  holder?: string;
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

/** The topic of the outbox whose message has expired runs of a tenant forgotten. */
export const forgetRuns = 'forget_runs';

/** Adds a run, to be forgotten when it has expired; false when the principal has one with the same idempotency key. */
export async function insertRun(trx: Db, run: NewRun, now: number): Promise<boolean> {
  const { principal } = run.request;
  if (run.key) await freeKey(trx, principal, run.key.idempotencyKey, now);
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
    holder: run.holder ?? null,
    takes: 0,
    idempotency_key: run.key?.idempotencyKey ?? null,
    input_hash: run.key?.inputHash ?? null,
  };
  const { numInsertedOrUpdatedRows } = await trx
    .insertInto('runs')
    .values(row)
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  if (Number(numInsertedOrUpdatedRows ?? 0) === 0) return false;
  await forgetLater(trx, { tenant: principal.tenant, topic: forgetRuns }, run.expiresAt, now);
  return true;
}

// A key is new once its run has expired, also where nobody has forgotten that run yet.
const freeKey = (trx: Db, { tenant, id }: Principal, key: string, now: number) =>
  trx
    .deleteFrom('runs')
    .where('tenant', '=', tenant)
    .where('principal', '=', id)
    .where('idempotency_key', '=', key)
    .where('state', '<>', 'running')
    .where('expires_at', '<', now)
    .execute();

/**
 * Forgets the runs of a tenant that have expired, but for those under way; gives when the next one will have, undefined
 * when there is none.
 */
export async function forgetExpired(trx: Db, tenant: string, now: number): Promise<number | undefined> {
  await trx
    .deleteFrom('runs')
    .where('tenant', '=', tenant)
    .where('state', '<>', 'running')
    .where('expires_at', '<', now)
    .execute();
  const next = await trx
    .selectFrom('runs')
    .select('expires_at')
    .where('tenant', '=', tenant)
    .orderBy('expires_at')
    .executeTakeFirst();
  return next?.expires_at;
}

/** Ends a run that is under way; false when it has ended already, or `holder` is given and not its holder any more. */
export async function endRun(
  trx: Db,
  { tenant, id }: RunKey,
  end: { state: RunState; outcome: unknown; expiresAt: number },
  now: number,
  holder?: string,
): Promise<boolean> {
  const { numUpdatedRows } = await trx
    .updateTable('runs')
    .set({
      state: end.state,
      outcome: JSON.stringify(end.outcome ?? null),
      updated_at: now,
      expires_at: end.expiresAt,
      lease_until: null,
      holder: null,
    })
    .where('tenant', '=', tenant)
    .where('id', '=', id)
    .where('state', 'in', ['running', 'asks'])
    .$if(holder !== undefined, (query) => query.where('holder', '=', holder ?? ''))
    .executeTakeFirst();
  return Number(numUpdatedRows) > 0;
}

interface Move {
  state: RunState;
  leaseUntil: number;
  /** Who has it from then on; nobody while it asks. */
  holder?: string;
  expiresAt: number;
}

/**
 * Moves a run from one state to another, or gives it new times; false when it is in another state by now, or
 * `heldBy` is given and does not hold it any more.
 */
export async function moveRun(
  trx: Db,
  { tenant, id }: RunKey,
  { from, heldBy }: { from: RunState; heldBy?: string },
  { state, leaseUntil, holder, expiresAt }: Move,
  now: number,
): Promise<boolean> {
  const { numUpdatedRows } = await trx
    .updateTable('runs')
    .set({ state, updated_at: now, lease_until: leaseUntil, holder: holder ?? null, expires_at: expiresAt })
    .where('tenant', '=', tenant)
    .where('id', '=', id)
    .where('state', '=', from)
    .$if(heldBy !== undefined, (query) => query.where('holder', '=', heldBy ?? ''))
    .executeTakeFirst();
  return Number(numUpdatedRows) > 0;
}

/** Forgets a run that its holder has under way, so that its idempotency key is free again. */
export async function dropRun(trx: Db, { tenant, id }: RunKey, holder: string): Promise<void> {
  await trx
    .deleteFrom('runs')
    .where('tenant', '=', tenant)
    .where('id', '=', id)
    .where('state', '=', 'running')
    .where('holder', '=', holder)
    .execute();
}

/** What is under way has not expired, whatever a clock says that may have jumped. */
const isKept = (now: number) => sql<boolean>`(state = 'running' or expires_at >= ${now})`;

/** A run that has not expired. */
export async function findRun(db: Db, { tenant, id }: RunKey, now: number): Promise<Run | undefined> {
  const row = await db
    .selectFrom('runs')
    .selectAll()
    .where('tenant', '=', tenant)
    .where('id', '=', id)
    .where(isKept(now))
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
    .where(isKept(now))
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
    .where(isKept(now));
  if (filter.principal !== undefined) query = query.where('principal', '=', filter.principal);
  if (filter.state !== undefined) query = query.where(isInState(filter.state, now));
  const rows = await query.orderBy('created_at', 'desc').orderBy('id').limit(filter.limit).execute();
  return Promise.all(
    rows.map(async (row) => {
      const whole = { ...row, request: null, idempotency_key: null, input_hash: null, holder: null, takes: null };
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

/** The state as `toRun` gives it: one that nobody has answered in time has failed. */
const isInState = (state: RunState, now: number) => {
  const isLate = sql<boolean>`(state = 'asks' and lease_until < ${now})`;
  return state === 'failed'
    ? sql<boolean>`(state = 'failed' or ${isLate})`
    : sql<boolean>`(state = ${state} and not ${isLate})`;
};

/** A row as a run. `question` is what it asks now. */
export function toRun(row: Tables['runs'], now: number, question: Question | undefined): Run {
  const outcome = JSON.parse(row.outcome);
  const late = isLate(row, now) ? unanswered(row.tool).toJSON() : undefined;
  const state = late ? 'failed' : (row.state as RunState);
  return {
    id: row.id,
    tool: row.tool,
    ...(row.version !== null && { version: row.version }),
    principal: row.principal,
    state,
    ...(state === 'done' && { value: outcome }),
    ...((state === 'failed' || state === 'cancelled') && { error: late ?? outcome }),
    ...(state === 'asks' && question && { question }),
    ...(row.progress !== null && { progress: JSON.parse(row.progress) }),
    ...(row.request !== null && { request: JSON.parse(row.request) }),
    ...(row.idempotency_key !== null && { idempotencyKey: row.idempotency_key }),
    createdAt: row.created_at,
    updatedAt: row.updated_at ?? row.created_at,
    expiresAt: row.expires_at,
  };
}

const isLate = ({ state, lease_until }: Tables['runs'], now: number): boolean =>
  state === 'asks' && lease_until !== null && lease_until < now;

/** What a run has failed with when the time to answer is over. */
export const unanswered = (tool: string): WeaverError =>
  new WeaverError('timed_out', `Nobody answered what ${tool} asked in time.`, { hint: 'Call it again.' });
