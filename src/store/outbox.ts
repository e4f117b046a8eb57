import { sql } from 'kysely';
import type { Db, Tables } from './tables.ts';

/** Which message. */
export interface MessageKey {
  tenant: string;
  topic: string;
  key: string;
}

/** What is to follow a commit. */
interface NewMessage extends MessageKey {
  /** JSON for the handler. */
  body?: unknown;
  /** Not before this, in milliseconds since 1970; at once when absent. */
  dueAt?: number;
}

/**
 * Writes down what is to follow a change, inside its transaction: it is done if and only if the change is kept. Put
 * again under the same key before it is done, it is still one message: the later body, the earlier time; one that was
 * given up is begun anew.
 */
export async function putOutbox(trx: Db, { tenant, topic, key, body, dueAt = 0 }: NewMessage, now: number) {
  const fresh = { revision: 1, attempts: 0, state: 'waiting', claim: null, error: null };
  await trx
    .insertInto('outbox')
    .values({ tenant, topic, key, body: JSON.stringify(body ?? null), due_at: dueAt, put_at: now, ...fresh })
    .onConflict((conflict) =>
      conflict.columns(['tenant', 'topic', 'key']).doUpdateSet({
        body: (eb) => eb.ref('excluded.body'),
        due_at: sql<number>`case when outbox.due_at < excluded.due_at then outbox.due_at else excluded.due_at end`,
        revision: sql<number>`outbox.revision + 1`,
        attempts: 0,
        state: 'waiting',
        error: null,
      }),
    )
    .execute();
}

/** True when a message of this key waits, for no later than `dueAt`, and nobody has it under way: to put it again adds nothing. */
export async function isInOutbox(trx: Db, { tenant, topic, key }: MessageKey, dueAt: number): Promise<boolean> {
  const row = await trx
    .selectFrom('outbox')
    .select('revision')
    .where('tenant', '=', tenant)
    .where('topic', '=', topic)
    .where('key', '=', key)
    .where('state', '=', 'waiting')
    .where('claim', 'is', null)
    .where('due_at', '<=', dueAt)
    .executeTakeFirst();
  return row !== undefined;
}

export type OutboxRow = Tables['outbox'];

const rowsOf = (trx: Db, { tenant, topic, key, claim, revision }: OutboxRow) =>
  trx
    .updateTable('outbox')
    .where('tenant', '=', tenant)
    .where('topic', '=', topic)
    .where('key', '=', key)
    .where('claim', claim === null ? 'is' : '=', claim)
    .where('revision', '=', revision);

/** Messages of these topics that are due, those that nobody has under way first. */
export function dueMessages(db: Db, topics: readonly string[], limit: number, now: number, farOff: number) {
  return (
    db
      .selectFrom('outbox')
      .selectAll()
      .where('topic', 'in', [...topics])
      .where('state', '=', 'waiting')
      // Tried before, and so far off: that was put off before the clock was set back.
      .where((eb) => eb.or([eb('due_at', '<=', now), eb.and([eb('attempts', '>', 0), eb('due_at', '>', farOff)])]))
      .orderBy(sql`case when claim is null then 0 else 1 end`)
      .orderBy('due_at')
      .orderBy('put_at')
      .limit(limit)
      .execute()
  );
}

/** Takes a message as it was seen, for one process; undefined when another was first, or it has changed. */
export async function claimMessage(trx: Db, seen: OutboxRow, claim: string): Promise<OutboxRow | undefined> {
  const { numUpdatedRows } = await rowsOf(trx, seen)
    .set({ claim, attempts: seen.attempts + 1 })
    .executeTakeFirst();
  return Number(numUpdatedRows) > 0 ? { ...seen, claim, attempts: seen.attempts + 1 } : undefined;
}

/** Forgets a message that is done. One that was put again meanwhile stays, to be handled anew. */
export async function settleMessage(trx: Db, row: OutboxRow): Promise<void> {
  const { numDeletedRows } = await trx
    .deleteFrom('outbox')
    .where('tenant', '=', row.tenant)
    .where('topic', '=', row.topic)
    .where('key', '=', row.key)
    .where('claim', '=', row.claim)
    .where('revision', '=', row.revision)
    .executeTakeFirst();
  if (Number(numDeletedRows) === 0) await releaseMessage(trx, row);
}

/** Gives a message back: for later, given up, or as another attempt. One that was put again meanwhile is due as that says. */
export async function returnMessage(
  trx: Db,
  row: OutboxRow,
  change: Partial<Pick<OutboxRow, 'due_at' | 'attempts' | 'state' | 'error'>>,
): Promise<void> {
  const { numUpdatedRows } = await rowsOf(trx, row)
    .set({ ...change, claim: null })
    .executeTakeFirst();
  if (Number(numUpdatedRows) === 0) await releaseMessage(trx, row);
}

// Another revision of it by now; but only who has claimed it may let it go.
async function releaseMessage(trx: Db, { tenant, topic, key, claim }: OutboxRow): Promise<void> {
  await trx
    .updateTable('outbox')
    .set({ claim: null })
    .where('tenant', '=', tenant)
    .where('topic', '=', topic)
    .where('key', '=', key)
    .where('claim', '=', claim)
    .execute();
}

/** How the outbox stands, for a person. */
export interface OutboxHealth {
  waiting: number;
  /** Due since before `since`, and not begun or not done. */
  late: number;
  dead: { topic: string; key: string; error: string }[];
}

/** How the outbox of all tenants stands; `since` is in milliseconds since 1970. */
export async function outboxHealth(db: Db, since: number): Promise<OutboxHealth> {
  const { waiting, late } = await db
    .selectFrom('outbox')
    .where('state', '=', 'waiting')
    .select((eb) => [
      eb.fn.countAll().as('waiting'),
      sql<number>`coalesce(sum(case when put_at < ${since} and due_at < ${since} then 1 else 0 end), 0)`.as('late'),
    ])
    .executeTakeFirstOrThrow();
  const dead = await db
    .selectFrom('outbox')
    .select(['topic', 'key', 'error'])
    .where('state', '=', 'dead')
    .orderBy('put_at')
    .limit(100)
    .execute();
  return {
    waiting: Number(waiting),
    late: Number(late),
    dead: dead.map(({ topic, key, error }) => ({ topic, key, error: error ?? '' })),
  };
}

/** Begins anew what was given up; how many that were. */
export async function reviveDead(trx: Db): Promise<number> {
  const { numUpdatedRows } = await trx
    .updateTable('outbox')
    .set({ state: 'waiting', attempts: 0, due_at: 0 })
    .where('state', '=', 'dead')
    .executeTakeFirst();
  return Number(numUpdatedRows);
}
