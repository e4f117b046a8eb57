import type { Database } from './database.ts';
import type { Handler } from './dispatcher.ts';
import { isInOutbox, type MessageKey, putOutbox } from './outbox.ts';
import type { Db } from './tables.ts';

const forgetAtMostEveryMs = 60_000;

/** Has what a tenant keeps of a kind forgotten when it has expired, by the topic's handler. Part of the change that keeps it. */
export async function forgetLater(
  trx: Db,
  { tenant, topic }: Omit<MessageKey, 'key'>,
  dueAt: number,
  now: number,
): Promise<void> {
  const message = { tenant, topic, key: '' };
  if (!(await isInOutbox(trx, message, dueAt))) await putOutbox(trx, { ...message, dueAt }, now);
}

/**
 * The handler of such a topic.
 * @param forgetExpired forgets what has expired, and gives when the next one will have; undefined when there is none.
 */
export const forgetting =
  (
    { write }: Pick<Database, 'write'>,
    forgetExpired: (trx: Db, tenant: string, now: number) => Promise<number | undefined>,
  ): Handler =>
  async ({ tenant }) => {
    const now = Date.now();
    const next = await write((trx) => forgetExpired(trx, tenant, now));
    // All that expires within the minute goes at once.
    return next === undefined ? undefined : Math.max(next + 1, now + forgetAtMostEveryMs);
  };
