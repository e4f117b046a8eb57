import { setTimeout as sleep } from 'node:timers/promises';
import { Kysely, PostgresDialect } from 'kysely';
import type { Pool, PoolConfig } from 'pg';
import { WeaverError } from '../errors.ts';
import type { Log } from '../log.ts';
import { loadOptional } from '../optional.ts';
import type { Database } from './database.ts';
import { isMigrated, migrate } from './migrate.ts';
import type { Db, Tables } from './tables.ts';

const giveUpMs = 10_000;
const pollMs = 500;
const int8 = 20;

const poolLimits: PoolConfig = {
  max: 10,
  connectionTimeoutMillis: 5_000,
  idleTimeoutMillis: 60_000,
  statement_timeout: 15_000,
  idle_in_transaction_session_timeout: 30_000,
  application_name: 'toolweaver',
};

/**
 * Opens a PostgreSQL database, or a server of its protocol, and brings its tables up to date. Transactions are
 * serialisable; one that another got in the way of is run again, so that they behave as they do over SQLite.
 * @throws WeaverError `database_newer`, `database_unavailable`, `busy`.
 */
export async function openPostgres(address: string, log: Log): Promise<Database> {
  const place = withoutSecrets(address);
  const { default: pg } = await loadOptional('pg', 'PostgreSQL', () => import('pg'));
  // Counts and times are below 2^53; as text they would break every comparison.
  const getTypeParser = ((oid: number, format?: 'text' | 'binary') =>
    oid === int8 ? Number : pg.types.getTypeParser(oid, format as 'text')) as typeof pg.types.getTypeParser;
  const pool = new pg.Pool({ ...poolLimits, connectionString: address, types: { getTypeParser } });
  // A connection that breaks while nobody uses it is replaced at its next use.
  pool.on('error', (error) => log.warn({ error, database: place }, 'an idle connection to the database broke'));
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool: explained(pool, place) }) });
  const write: Database['write'] = (work) => retrying(place, () => inTransaction(db, place, work));
  try {
    if (!(await isMigrated(db, 'postgres'))) await write(async (trx) => migrate(trx, 'postgres', Date.now()));
  } catch (error) {
    await db.destroy();
    throw error;
  }
  const follower = followGeneration(db, log);
  await follower.look();
  return {
    kind: 'postgres',
    file: place,
    read: db,
    async write(work) {
      const value = await write(work);
      await follower.look();
      return value;
    },
    generation: follower.generation,
    async close() {
      follower.stop();
      await db.destroy();
    },
  };
}

/** Runs `work` and commits it. A connection that breaks at the commit leaves open whether it was kept. */
async function inTransaction<T>(db: Kysely<Tables>, place: string, work: (trx: Db) => Promise<T>): Promise<T> {
  const trx = await db.startTransaction().setIsolationLevel('serializable').execute();
  let value: T;
  try {
    value = await work(trx);
  } catch (error) {
    // The error of the rollback would hide why it was rolled back.
    await trx
      .rollback()
      .execute()
      .catch(() => {});
    throw error;
  }
  try {
    await trx.commit().execute();
  } catch (error) {
    if (isRetryable(error)) throw error;
    throw new WeaverError('database_unavailable', `${place} broke off while a change was being kept.`, {
      hint: 'It may have been kept or not: look before you do it again.',
      cause: error,
    });
  }
  return value;
}

/** Runs `attempt` again, up to 10 s, while another transaction was in its way or the connection broke before the commit. */
async function retrying<T>(place: string, attempt: () => Promise<T>): Promise<T> {
  const giveUpAt = Date.now() + giveUpMs;
  for (let pauseMs = 5; ; pauseMs = Math.min(pauseMs * 2, 200)) {
    try {
      return await attempt();
    } catch (error) {
      if (!isRetryable(error) && !isPassing(error)) throw error;
      if (Date.now() >= giveUpAt) throw explainPostgres(error, place);
      await sleep(pauseMs * (0.5 + Math.random()));
    }
  }
}

const codeOf = (error: unknown): string => {
  const { code, cause } = (error ?? {}) as { code?: unknown; cause?: { code?: unknown } };
  return String(error instanceof WeaverError ? (cause?.code ?? '') : (code ?? ''));
};

// Serialisation failure, deadlock, and a key that another transaction has just taken: what is then there decides anew.
const retryable = new Set(['40001', '40P01', '23505', '42P07']);
const isRetryable = (error: unknown): boolean => retryable.has(codeOf(error));

// A server that restarts, or a network that hiccups: nothing was committed, so it can be done again.
const isPassing = (error: unknown): boolean =>
  error instanceof WeaverError && error.code === 'database_unavailable' && error.details?.passing === true;

/** Names what a person can do about an error of PostgreSQL; anything unforeseen passes through. Never holds the address's password. */
function explainPostgres(error: unknown, place: string): unknown {
  const code = codeOf(error);
  const { message = '' } = (error ?? {}) as Error;
  if (
    retryable.has(code) ||
    code === '55P03' ||
    code === '57014' ||
    code === '53300' ||
    /timeout exceeded when trying to connect/.test(message)
  ) {
    return new WeaverError('busy', `${place} is too busy: ${reasons[code] ?? 'no connection was free in time'}.`, {
      hint: 'Try again in a moment.',
      cause: error,
    });
  }
  const isBroken =
    /^(08|28|3D|53|57P|25006|58)/.test(code) ||
    /^E[A-Z]+$/.test(code) ||
    /terminated|not queryable|Connection ended/i.test(message);
  if (!isBroken) return error;
  return new WeaverError(
    'database_unavailable',
    `${place} cannot be used: ${reasons[code] ?? (code || 'the connection broke')}.`,
    {
      hint: 'Check that the server runs, and DATABASE_URL: name, user, password, rights. Nothing was saved half.',
      cause: error,
    },
  );
}

const reasons: Readonly<Record<string, string>> = {
  '40001': 'other changes kept getting in the way',
  '40P01': 'other changes kept getting in the way',
  '23505': 'other changes kept getting in the way',
  '57014': 'a statement took too long',
  '53300': 'it takes no more connections',
  '28P01': 'the password is wrong',
  '28000': 'the user may not log in',
  '3D000': 'there is no such database',
  '25006': 'it is read-only',
  '57P01': 'it was shut down',
  '57P03': 'it is starting or stopping',
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'there is no such host',
  ECONNRESET: 'the connection broke',
  ETIMEDOUT: 'it does not answer',
};

// What the pool's clients throw is explained where it is thrown, for reads and writes alike.
function explained(pool: Pool, place: string) {
  const rethrow = (error: unknown): never => {
    // Left as it is, for `retrying` to see.
    throw isRetryable(error) ? error : explainPostgres(error, place);
  };
  return {
    options: pool.options,
    end: () => pool.end(),
    async connect() {
      const client = await pool.connect().catch(rethrow);
      return {
        query: ((...args: Parameters<typeof client.query>) =>
          (client.query as (...a: unknown[]) => Promise<unknown>)(...args).catch(rethrow)) as typeof client.query,
        release: () => client.release(),
      };
    },
  };
}

/** Knows every tenant's generation: asked anew twice a second and after each own change. */
function followGeneration(db: Db, log: Log) {
  let known = new Map<string, number>();
  let isBroken = false;
  const look = async (): Promise<void> => {
    const rows = await db.selectFrom('generation').selectAll().execute();
    known = new Map(rows.map((row) => [row.tenant, row.value]));
  };
  const timer = setInterval(() => {
    look().then(
      () => {
        if (isBroken) log.info({}, 'the database answers again');
        isBroken = false;
      },
      (error: unknown) => {
        if (!isBroken) log.warn({ error }, 'the database does not answer; changes of others are not seen');
        isBroken = true;
      },
    );
  }, pollMs).unref();
  return { look, generation: (tenant: string) => known.get(tenant) ?? 0, stop: () => clearInterval(timer) };
}

/** The address as messages may show it. */
function withoutSecrets(address: string): string {
  const { protocol, hostname, port, pathname } = new URL(address);
  return `${protocol}//${hostname}${port === '' ? '' : `:${port}`}${pathname}`;
}
