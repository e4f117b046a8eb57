import { setTimeout as sleep } from 'node:timers/promises';
import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely';
import { WeaverError } from '../errors.ts';
import type { SqliteConnection } from './sqlite-connection.ts';

/** How long a statement waits inside SQLite, which blocks the event loop; beyond it waiting is asynchronous. */
export const busyTimeoutMs = 20;
const lockWaitMs = 10_000;

/**
 * Kysely's dialect over one SQLite connection. Transactions are BEGIN IMMEDIATE (a deferred one that upgrades
 * fails with SQLITE_BUSY_SNAPSHOT whatever the time-out). Waiting for a lock is asynchronous, up to 10 s from when the
 * transaction was asked for, then `busy`: those behind it in the queue do not each wait 10 s more.
 */
export function sqliteDialect(connection: SqliteConnection, file: string): Dialect {
  return {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => createDriver(connection, file),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  };
}

function createDriver(sqlite: SqliteConnection, file: string): Driver {
  const connection = createConnection(sqlite, file);
  const run = (statement: string) => connection.executeQuery(CompiledQuery.raw(statement)).then(() => undefined);
  let tail: Promise<void> = Promise.resolve();
  let release: () => void = () => {};
  let askedAt = 0;
  return {
    init: async () => {},
    // One user at a time, in order: a transaction must not see another's statements in its middle.
    acquireConnection: async () => {
      const now = performance.now();
      const before = tail;
      let free: () => void = () => {};
      tail = new Promise((resolve) => {
        free = resolve;
      });
      await before;
      release = free;
      askedAt = now;
      return connection;
    },
    releaseConnection: async () => release(),
    beginTransaction: () => retryBusy(file, () => void sqlite.run('begin immediate'), { since: askedAt }),
    commitTransaction: () => run('commit'),
    rollbackTransaction: async () => {
      // After an error such as a full disk SQLite may have rolled back by itself.
      if (sqlite.inTransaction) await run('rollback');
    },
    destroy: async () => void sqlite.close(),
  };
}

function createConnection(sqlite: SqliteConnection, file: string): DatabaseConnection {
  return {
    executeQuery: <R>(query: CompiledQuery): Promise<QueryResult<R>> =>
      retryBusy(file, () => {
        const { rows, changes } = sqlite.run(query.sql, query.parameters);
        return { rows: rows as R[], numAffectedRows: BigInt(changes) };
      }),
    streamQuery: () => {
      throw new Error('Streaming is not used');
    },
  };
}

interface Waiting {
  /** When the waiting began, by `now`; now when absent. */
  since?: number;
  /** A clock that never jumps, in milliseconds. */
  now?: () => number;
}

/**
 * Runs `attempt` until the database is free, at least once, without blocking the event loop for longer than the busy
 * time-out.
 * @throws WeaverError `busy` 10 s after `since`, or what `explainSqlite` makes of another error.
 */
export async function retryBusy<T>(
  file: string,
  attempt: () => T,
  { now = () => performance.now(), since = now() }: Waiting = {},
): Promise<T> {
  for (let pauseMs = 5; ; pauseMs = Math.min(pauseMs * 2, 100)) {
    try {
      return attempt();
    } catch (error) {
      if (!isBusy(error) || now() >= since + lockWaitMs) throw explainSqlite(error, file);
      await sleep(pauseMs * (0.5 + Math.random()));
    }
  }
}

const codeOf = (error: unknown): string => String((error as { code?: unknown } | null)?.code ?? '');
const isBusy = (error: unknown): boolean => /^SQLITE_(BUSY|LOCKED)/.test(codeOf(error));

/** Names what a person can do about an error of SQLite; anything unforeseen passes through. */
export function explainSqlite(error: unknown, file: string): unknown {
  const code = codeOf(error);
  if (isBusy(error)) {
    return new WeaverError('busy', `The database ${file} stayed locked for ${lockWaitMs / 1000} s.`, {
      hint: 'Another process holds it, perhaps a backup or a database tool. Try again when it is done.',
      cause: error,
    });
  }
  if (/^SQLITE_(NOTADB|CORRUPT)/.test(code)) {
    return new WeaverError('database_damaged', `${file} is damaged or is no SQLite database; it was left as it is.`, {
      hint: `Put a backup in its place, or move it away to start with an empty library. \`sqlite3 ${file} .recover\` can often save what is in it.`,
      cause: error,
    });
  }
  if (/^SQLITE_(FULL|READONLY|CANTOPEN|IOERR|PERM|AUTH)/.test(code)) {
    return new WeaverError(
      'database_unavailable',
      `The database ${file} cannot be written: ${(error as Error).message}.`,
      {
        hint: 'Check free disk space, the permissions of the folder, and that it is not mounted read-only. Nothing was saved half.',
        cause: error,
      },
    );
  }
  return error;
}
