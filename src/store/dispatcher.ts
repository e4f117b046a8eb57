import { randomUUID } from 'node:crypto';
import { toWeaverError, WeaverError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Database } from './database.ts';
import { claimMessage, dueMessages, type MessageKey, type OutboxRow, returnMessage, settleMessage } from './outbox.ts';
import { createStillness } from './stillness.ts';

/** A message for the handler of its topic. */
export interface Message extends MessageKey {
  body: unknown;
}

/**
 * Does what a message of its topic says. A process may die before it could say that it was done, so the same message
 * twice must be as once. Gives when to do it again, in milliseconds since 1970, where it is not done for good. Ends soon
 * after `signal` fires; throws, to be called again later.
 */
export type Handler = (message: Message, signal: AbortSignal) => Promise<number | undefined>;

export interface OutboxTimes {
  /** The longest that a handler may take. */
  handleMs: number;
  /** How long a claim must stand still until another process takes it for lost; longer than `handleMs`. */
  claimMs: number;
  /** Before the second attempt; doubled from there on. */
  retryMs: number;
  maxRetryMs: number;
  maxAttempts: number;
}

const usualTimes: OutboxTimes = {
  handleMs: 60_000,
  claimMs: 90_000,
  retryMs: 1_000,
  maxRetryMs: 900_000,
  maxAttempts: 24,
};

const looked = 100;
const jumpMs = 60_000;
const steadyMs = 900_000;

export interface Dispatcher {
  /** Handles what is due, one after the other; gives how many messages were its. */
  look(signal: AbortSignal): Promise<number>;
}

/**
 * Does what stands in the outbox, once, in whichever process is first. What fails is tried again with longer and longer
 * pauses, then given up as `dead`. Topics without a handler here are left to other processes.
 */
export function createDispatcher(
  { read, write }: Pick<Database, 'read' | 'write'>,
  log: Log,
  handlers: Readonly<Record<string, Handler>>,
  times: OutboxTimes = usualTimes,
): Dispatcher {
  const topics = Object.keys(handlers);
  const lost = createStillness(times.claimMs);
  const isSteady = watchClock();

  const freeOnes = async (): Promise<OutboxRow[]> => {
    const now = Date.now();
    // What waits for a time of day is put off while that may be wrong.
    const until = isSteady(now) ? now : 0;
    const rows = await dueMessages(read, topics, looked, until, now + times.maxRetryMs * 2);
    const claimed = rows.filter(({ claim }) => claim !== null);
    const still = lost.look(new Map(claimed.map((row) => [nameOf(row), `${row.claim} ${row.attempts}`])));
    return rows.filter((row) => row.claim === null || still.has(nameOf(row)));
  };
  const handle = async (row: OutboxRow, signal: AbortSignal): Promise<void> => {
    const { tenant, topic, key, body } = row;
    const handler = handlers[topic] as Handler;
    try {
      if (row.attempts > times.maxAttempts) throw givenUp;
      const message = { tenant, topic, key, body: JSON.parse(body) };
      const again = await inTime(times.handleMs, signal, (both) => handler(message, both));
      await write((trx) =>
        again === undefined ? settleMessage(trx, row) : returnMessage(trx, row, { due_at: again, attempts: 0 }),
      );
    } catch (error) {
      await failed(row, signal.aborted ? undefined : error);
    }
  };
  // What this process did not end because it ends itself is no attempt.
  const failed = async (row: OutboxRow, error: unknown): Promise<void> => {
    if (error === undefined) return write((trx) => returnMessage(trx, row, { attempts: row.attempts - 1 }));
    const { topic, key, attempts } = row;
    const isDead = attempts >= times.maxAttempts;
    const { code, message, cause } = toWeaverError(error);
    log[isDead ? 'error' : 'warn']({ topic, key, attempts, code, reason: message, cause }, sentences[`${isDead}`]);
    const text = error === givenUp ? (row.error ?? message) : `[${code}] ${message}`;
    const pauseMs = Math.min(times.retryMs * 2 ** (attempts - 1), times.maxRetryMs);
    const change = isDead ? { state: 'dead' } : { due_at: Date.now() + pauseMs };
    await write((trx) => returnMessage(trx, row, { ...change, error: text }));
  };

  return {
    async look(signal) {
      let handled = 0;
      for (const seen of topics.length > 0 ? await freeOnes() : []) {
        if (signal.aborted) break;
        // Each just before it is handled: a claim that waited for those before it would look lost.
        const row = await write((trx) => claimMessage(trx, seen, randomUUID()));
        if (!row) continue;
        await handle(row, signal);
        handled++;
      }
      return handled;
    },
  };
}

const sentences = {
  true: 'what was to follow a change is given up; doctor shows it',
  false: 'what was to follow a change failed; it is tried again',
} as const;

const givenUp = new WeaverError('unavailable', 'Each process that handled it ended before it was done.');

const nameOf = ({ tenant, topic, key }: MessageKey): string => JSON.stringify([tenant, topic, key]);

async function inTime<T>(ms: number, outer: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const late = AbortSignal.timeout(ms);
  const signal = AbortSignal.any([outer, late]);
  const stopped = new Promise<never>((_, reject) => {
    const stop = () => reject(new WeaverError('timed_out', `It did not end within ${ms / 1_000} s.`));
    signal.addEventListener('abort', stop, { once: true });
  });
  return Promise.race([work(signal), stopped]);
}

/** False for a quarter of an hour after the time of day jumped: what is done too early cannot be undone. */
function watchClock(): (now: number) => boolean {
  let offset = Date.now() - performance.now();
  let steadyAt = 0;
  return (now) => {
    const clock = performance.now();
    if (Math.abs(now - clock - offset) > jumpMs) steadyAt = clock + steadyMs;
    offset = now - clock;
    return clock >= steadyAt;
  };
}
