import { WeaverError } from '../errors.ts';
import { byteLength, canonicalJson } from '../json.ts';
import type { Engine } from '../sandbox/sandbox.ts';
import { decrypt, encrypt, type SecretKey } from '../secrets/cipher.ts';
import type { Keyring } from '../secrets/keyring.ts';
import type { SealedRows } from '../secrets/rotate.ts';
import type { Database } from '../store/database.ts';
import { forgetLater } from '../store/forgetting.ts';
import type { Db, Tables } from '../store/tables.ts';
import type { RecordedRun, Recording, RecordingInfo } from './recording.ts';

type Row = Tables['recordings'];

/** A recording that is to be kept. */
export interface NewRecording {
  of: RecordedRun;
  recording: Recording;
  at: number;
  expiresAt: number;
}

/** The topic of the outbox whose message has expired recordings of a tenant forgotten. */
export const forgetRecordings = 'forget_recordings';

const rowsPerStatement = 20;

/**
 * Adds recordings under a key, to be forgotten when they have expired, and forgets all but the latest `keepAtMost` of
 * their tenants. A run that is recorded already stays as it is.
 */
export async function insertRecordings(
  trx: Db,
  key: SecretKey,
  recordings: readonly NewRecording[],
  keepAtMost: number,
  now: number,
): Promise<void> {
  const rows = recordings.map((one) => toRow(key, one));
  for (let from = 0; from < rows.length; from += rowsPerStatement) {
    const some = rows.slice(from, from + rowsPerStatement);
    await trx
      .insertInto('recordings')
      .values(some)
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  }
  for (const tenant of new Set(rows.map((row) => row.tenant))) {
    await keepLatest(trx, tenant, keepAtMost);
    const dueAt = Math.min(...rows.map((row) => (row.tenant === tenant ? row.expires_at : Number.POSITIVE_INFINITY)));
    await forgetLater(trx, { tenant, topic: forgetRecordings }, dueAt, now);
  }
}

const keepLatest = (trx: Db, tenant: string, count: number) =>
  trx
    .deleteFrom('recordings')
    .where('tenant', '=', tenant)
    .where('run', 'not in', (eb) =>
      eb
        .selectFrom('recordings as latest')
        .select('latest.run')
        .where('latest.tenant', '=', tenant)
        .orderBy('latest.at', 'desc')
        .orderBy('latest.run')
        .limit(count),
    )
    .execute();

/** Forgets the recordings of a tenant that have expired; gives when the next one will have, undefined without one. */
export async function forgetExpired(trx: Db, tenant: string, now: number): Promise<number | undefined> {
  await trx.deleteFrom('recordings').where('tenant', '=', tenant).where('expires_at', '<', now).execute();
  const next = await trx
    .selectFrom('recordings')
    .select('expires_at')
    .where('tenant', '=', tenant)
    .orderBy('expires_at')
    .executeTakeFirst();
  return next?.expires_at;
}

/** Recordings of a tenant, newest first; only those of a version where it is given. */
export async function listRecordings(
  db: Db,
  tenant: string,
  { limit, of }: { limit: number; of?: Pick<RecordedRun, 'tool' | 'version' | 'seal'> },
  now: number,
): Promise<RecordingInfo[]> {
  let query = db
    .selectFrom('recordings')
    .select(factColumns)
    .where('tenant', '=', tenant)
    .where('expires_at', '>=', now);
  if (of) query = query.where('tool', '=', of.tool).where('version', '=', of.version).where('seal', '=', of.seal);
  const rows = await query.orderBy('at', 'desc').orderBy('run').limit(limit).execute();
  return rows.map(toInfo);
}

/**
 * The recording of a run, by its run id or its call id.
 * @throws WeaverError `not_found` when there is none or it has expired, `secret_unreadable` when it does not open.
 */
export async function openRecording(
  { read }: Pick<Database, 'read'>,
  ring: Keyring,
  tenant: string,
  id: string,
  now: number,
): Promise<{ info: RecordingInfo; recording: Recording }> {
  const row = await read
    .selectFrom('recordings')
    .selectAll()
    .where('tenant', '=', tenant)
    .where((eb) => eb.or([eb('run', '=', id), eb('call_id', '=', id)]))
    .where('expires_at', '>=', now)
    .executeTakeFirst();
  if (!row) {
    throw new WeaverError('not_found', `There is no recording of ${JSON.stringify(id.slice(0, 60))}.`, {
      hint: 'toolweaver replay --list shows them. Runs of skills are recorded where TOOLWEAVER_RECORD_RUNS says how many.',
    });
  }
  const key = (await ring.keys()).find((one) => one.id === row.key);
  const text = key && decrypt(key, row.sealed, contextOf(row));
  if (text !== undefined) return { info: toInfo(row), recording: JSON.parse(text) };
  const why = key
    ? 'was changed in the database by something else'
    : `is under the key ${row.key}, which this home lacks`;
  throw new WeaverError('secret_unreadable', `The recording of ${row.run} ${why}.`, {
    hint: key ? 'It is of no use any more; record the call anew.' : 'Bring the key back, or record the call anew.',
  });
}

/** The recordings of all tenants, for a rotation of keys. Those that do not open stay as they are, and expire. */
export const sealedRecordings: SealedRows = {
  async keysInUse(trx) {
    const rows = await trx.selectFrom('recordings').select('key').distinct().execute();
    return rows.map(({ key }) => key);
  },
  async reseal(trx, keys, key) {
    // One after the other: a thousand of a megabyte do not fit into memory.
    const all = await trx.selectFrom('recordings').select(['tenant', 'run']).where('key', '!=', key.id).execute();
    for (const one of all) {
      const isOne = { tenant: one.tenant, run: one.run };
      const row = await trx
        .selectFrom('recordings')
        .selectAll()
        .where((eb) => eb.and(isOne))
        .executeTakeFirstOrThrow();
      const old = keys.find(({ id }) => id === row.key);
      const text = old && decrypt(old, row.sealed, contextOf(row));
      if (text === undefined) continue;
      const sealed = encrypt(key, text, contextOf(row));
      await trx
        .updateTable('recordings')
        .set({ key: key.id, sealed })
        .where((eb) => eb.and(isOne))
        .execute();
    }
  },
};

const factColumns = [
  'tenant',
  'run',
  'call_id',
  'tool',
  'version',
  'seal',
  'engine',
  'principal',
  'code',
  'at',
  'expires_at',
  'bytes',
] as const;

type Facts = Pick<Row, (typeof factColumns)[number]>;

// Everything that is said about a recording stands in it too: who writes to the database can pass none off as another.
const contextOf = ({ tenant, run, call_id, tool, version, seal, engine, principal, code, at }: Facts): string =>
  canonicalJson({ recording: run, tenant, call_id, tool, version, seal, engine, principal, code, at });

function toRow(key: SecretKey, { of, recording, at, expiresAt }: NewRecording): Row {
  const { callId, ...same } = of;
  const { ending } = recording;
  const text = JSON.stringify(recording);
  const code = 'error' in ending ? ending.error.code : 'done';
  const facts = { ...same, call_id: callId, code, at, expires_at: expiresAt, bytes: byteLength(text) };
  return { ...facts, key: key.id, sealed: encrypt(key, text, contextOf(facts)) };
}

const toInfo = ({ call_id, engine, expires_at, ...same }: Facts): RecordingInfo => ({
  tenant: same.tenant,
  run: same.run,
  callId: call_id,
  tool: same.tool,
  version: same.version,
  seal: same.seal,
  engine: engine as Engine,
  principal: same.principal,
  code: same.code,
  at: same.at,
  expiresAt: expires_at,
  bytes: same.bytes,
});
