import { setTimeout as sleep } from 'node:timers/promises';
import { Kysely, PostgresDialect } from 'kysely';
import { WeaverError } from '../errors.ts';
import { type Log, sayOnce } from '../log.ts';
import type { Bus } from './bus.ts';
import type { Database } from './database.ts';
import { isMigrated, migrate, watchVersion } from './migrate.ts';
import { explainPostgres, isBroken, isConflict, isKeyTaken, isPassing, placeOf } from './postgres-errors.ts';
import { openConnections } from './postgres-pool.ts';
import type { Db, Tables } from './tables.ts';

const giveUpMs = 8_000;
const usualPollMs = 500;
const newsGapMs = 10;
const keyTakenAttempts = 5;

/**
 * Opens a PostgreSQL database, or a server of its protocol, and brings its tables up to date. Transactions are
 * serialisable; one that another got in the way of is run again, so that they behave as they do over SQLite.
 * @throws WeaverError `database_newer`, `database_unavailable`, `busy`.
 */
export async function openPostgres(address: string, log: Log, pollMs = usualPollMs): Promise<Database> {
  const place = placeOf(address);
  const health = watchHealth(place, log);
  const connections = await openConnections(address, place, health.broke);
  const writer = new Kysely<Tables>({ dialect: new PostgresDialect({ pool: connections.writes }) });
  const read = new Kysely<Tables>({ dialect: new PostgresDialect({ pool: connections.reads }) });
  const queue = createQueue(place);
  const write: Database['write'] = (work) =>
    queue((since) => retrying(place, since, () => inTransaction(writer, place, work)));
  const follower = followGeneration(read, health, pollMs, watchVersion(log, place));
  let bus: Bus | undefined;
  const close = async (): Promise<void> => {
    follower.stop();
    await connections.close();
  };
  try {
    if (!(await isMigrated(read, 'postgres'))) await write(async (trx) => migrate(trx, 'postgres', Date.now()));
    await follower.look();
  } catch (error) {
    await close();
    throw explainPostgres(error, place);
  }
  follower.start();
  health.watch();
  return {
    kind: 'postgres',
    file: place,
    read,
    async write(work) {
      const before = follower.changes();
      const value = await write(work);
      // It is kept, whether or not the server still answers.
      await follower.look().catch(health.broke);
      if (follower.changes() > before) bus?.announce();
      return value;
    },
    generation: follower.generation,
    join(joined) {
      bus = joined;
      bus.onNews(follower.lookSoon);
    },
    close,
  };
}

/** One write at a time, in order: those of one process would only make each other start again. */
function createQueue(place: string) {
  let tail: Promise<unknown> = Promise.resolve();
  return <T>(work: (since: number) => Promise<T>): Promise<T> => {
    const since = performance.now();
    const mine = tail.then(() => {
      if (performance.now() < since + giveUpMs) return work(since);
      throw new WeaverError('busy', `${place} is too busy: other changes took too long.`, {
        hint: 'Try again in a moment.',
      });
    });
    tail = mine.catch(() => {});
    return mine;
  };
}

/** Runs `work` and commits it. A connection that breaks at the commit leaves open whether it was kept. */
async function inTransaction<T>(db: Kysely<Tables>, place: string, work: (trx: Db) => Promise<T>): Promise<T> {
  let isAtCommit = false;
  const transaction = db.transaction().setIsolationLevel('serializable');
  try {
    return await transaction.execute(async (trx) => {
      const value = await work(trx);
      isAtCommit = true;
      return value;
    });
  } catch (error) {
    if (!isAtCommit || !isBroken(causeOf(error))) throw error;
    throw new WeaverError('database_unavailable', `${place} broke off while a change was being kept.`, {
      hint: 'It may have been kept or not: look before you do it again.',
    });
  }
}

const causeOf = (error: unknown): unknown => (error instanceof WeaverError ? error.cause : error);

/** Runs `attempt` again, up to 8 s, while another transaction was in its way or the connection broke before the commit. */
async function retrying<T>(place: string, since: number, attempt: () => Promise<T>): Promise<T> {
  for (let count = 1, pauseMs = 5; ; count++, pauseMs = Math.min(pauseMs * 2, 200)) {
    try {
      return await attempt();
    } catch (error) {
      const isFutile = isKeyTaken(error) && count >= keyTakenAttempts;
      const canPass = (isConflict(error) && !isFutile) || isPassing(causeOf(error));
      if (!canPass || performance.now() + pauseMs >= since + giveUpMs) throw explainPostgres(error, place);
      await sleep(pauseMs * (0.5 + Math.random()));
    }
  }
}

interface Health {
  /** From now on; what fails before is for who opens the database to say. */
  watch(): void;
  broke(error: unknown): void;
  answers(): void;
}

/** Says once that the database does not answer, and once that it does again. */
function watchHealth(place: string, log: Log): Health {
  let isWatched = false;
  const { begins, ends } = sayOnce({
    begins: (error) =>
      log.warn(
        // Not the error itself: pg hangs the whole connection on it.
        { reason: (error as Error).message, database: place },
        'the database does not answer; what others change is not seen',
      ),
    ends: () => log.warn({ database: place }, 'the database answers again'),
  });
  return {
    watch() {
      isWatched = true;
    },
    broke(error) {
      if (isWatched) begins(error);
    },
    answers: ends,
  };
}

// No tenant is named by nothing.
const stepRow = '';

/**
 * Knows every tenant's generation and the step of the tables: asked anew twice a second, after each own change, and when
 * others tell of theirs.
 */
function followGeneration(db: Db, { broke, answers }: Health, pollMs: number, checkVersion: (reached: number) => void) {
  const known = new Map<string, number>();
  let changes = 0;
  let timer: NodeJS.Timeout | undefined;
  let looking: Promise<void> | undefined;
  let isWanted = false;
  let isStopped = false;
  let newsAt = Number.NEGATIVE_INFINITY;
  const look = async (): Promise<void> => {
    const rows = await db
      .selectFrom('generation')
      .selectAll()
      .unionAll(db.selectFrom('migrations').select((eb) => [eb.val(stepRow).as('tenant'), eb.fn.max('id').as('value')]))
      .execute();
    for (const { tenant, value } of rows) {
      // Looks may overtake each other; a generation never falls.
      if (value <= (known.get(tenant) ?? 0)) continue;
      known.set(tenant, value);
      changes++;
    }
  };
  // One that waits is enough: more of them would take every connection.
  const lookAround = (): Promise<void> => {
    looking ??= look()
      .then(answers, broke)
      .finally(() => {
        looking = undefined;
      });
    return looking;
  };
  const lookSoon = async (): Promise<void> => {
    if (isWanted) return;
    isWanted = true;
    // The one under way may have begun before the change; and whoever reaches the bus may tell of a million changes.
    await Promise.all([looking, sleep(Math.max(0, newsAt + newsGapMs - performance.now()), undefined, { ref: false })]);
    isWanted = false;
    newsAt = performance.now();
    if (!isStopped) await lookAround();
  };
  return {
    look,
    generation(tenant: string): number {
      checkVersion(known.get(stepRow) ?? 0);
      return known.get(tenant) ?? 0;
    },
    /** How many changes it has seen. */
    changes: () => changes,
    lookSoon: () => void lookSoon(),
    start: () => {
      timer = setInterval(() => void lookAround(), pollMs).unref();
    },
    stop: () => {
      isStopped = true;
      clearInterval(timer);
    },
  };
}
