import type BetterSqlite from 'better-sqlite3';
import { WeaverError } from '../errors.ts';

/**
 * One connection to a SQLite database, whatever library is behind it. Everything is synchronous and throws errors whose
 * `code` is one of SQLite's names (`SQLITE_BUSY`). A statement waits for a lock no longer than the connection was told.
 */
export interface SqliteConnection {
  readonly library: 'better-sqlite3' | 'node:sqlite';
  readonly inTransaction: boolean;
  run(sql: string, parameters?: readonly unknown[]): { rows: unknown[]; changes: number };
  /** The first column of the first row of a statement with one parameter, prepared once. */
  prepareValue(sql: string): (parameter: string) => unknown;
  close(): void;
}

export type OpenConnection = (file: string, busyTimeoutMs: number) => SqliteConnection;

/**
 * better-sqlite3 where it is installed, else Node's own SQLite where it has one (22.16 and later).
 * @throws WeaverError `not_supported`.
 */
export async function sqliteLibrary(): Promise<OpenConnection> {
  try {
    const { default: Sqlite } = await import('better-sqlite3');
    // Its native part is loaded by the first database; one that was never built shows only then.
    new Sqlite(':memory:').close();
    return (file, timeout) => overBetterSqlite(new Sqlite(file, { timeout }));
  } catch (cause) {
    return nodeLibrary(cause);
  }
}

/** The part of Node's SQLite that is used here; the types of Node 20 do not have it. */
interface DatabaseSync {
  readonly isOpen: boolean;
  readonly isTransaction: boolean;
  prepare(sql: string): {
    columns(): unknown[];
    all(...parameters: unknown[]): unknown[];
    get(...parameters: unknown[]): Record<string, unknown> | undefined;
    run(...parameters: unknown[]): { changes: number | bigint };
  };
  close(): void;
}
interface NodeSqlite {
  DatabaseSync: new (file: string, options: { timeout: number }) => DatabaseSync;
}

/** Node's own SQLite. @throws WeaverError `not_supported` where this Node has none. */
export async function nodeLibrary(cause?: unknown): Promise<OpenConnection> {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major < 22 || (major === 22 && minor < 16)) {
    throw new WeaverError(
      'not_supported',
      'The database needs the package better-sqlite3, which is not installed or did not load.',
      {
        hint: 'Run: npm install better-sqlite3 (or npm rebuild better-sqlite3), or use Node 22.16 or later, which has SQLite in it.',
        cause,
      },
    );
  }
  const { DatabaseSync } = await importQuietly();
  return (file, timeout) => overNodeSqlite(translated(() => new DatabaseSync(file, { timeout })));
}

// Node says on stderr that its SQLite is experimental; a program that reads an error there as JSON would stumble on it.
async function importQuietly(): Promise<NodeSqlite> {
  const emit = process.emitWarning;
  const others = (...given: unknown[]): void => {
    if (given[1] !== 'ExperimentalWarning') (emit as (...all: unknown[]) => void).apply(process, given);
  };
  process.emitWarning = others as typeof emit;
  try {
    const name: string = 'node:sqlite';
    return (await import(name)) as NodeSqlite;
  } finally {
    process.emitWarning = emit;
  }
}

function overBetterSqlite(sqlite: BetterSqlite.Database): SqliteConnection {
  return {
    library: 'better-sqlite3',
    get inTransaction() {
      return sqlite.inTransaction;
    },
    run(sql, parameters = []) {
      const statement = sqlite.prepare<unknown[], unknown>(sql);
      if (statement.reader) return { rows: statement.all(...parameters), changes: 0 };
      return { rows: [], changes: statement.run(...parameters).changes };
    },
    prepareValue(sql) {
      const statement = sqlite.prepare<[string], unknown>(sql).pluck();
      return (parameter) => statement.get(parameter);
    },
    close: () => void sqlite.close(),
  };
}

function overNodeSqlite(sqlite: DatabaseSync): SqliteConnection {
  return {
    library: 'node:sqlite',
    get inTransaction() {
      return sqlite.isTransaction;
    },
    run: (sql, parameters = []) =>
      translated(() => {
        const statement = sqlite.prepare(sql);
        if (statement.columns().length > 0) return { rows: statement.all(...parameters), changes: 0 };
        return { rows: [], changes: Number(statement.run(...parameters).changes) };
      }),
    prepareValue(sql) {
      const statement = translated(() => sqlite.prepare(sql));
      return (parameter) => translated(() => Object.values(statement.get(parameter) ?? {})[0]);
    },
    close: () => {
      if (sqlite.isOpen) sqlite.close();
    },
  };
}

/** SQLite's primary result codes that anybody here tells apart (sqlite.org/rescode.html). */
const resultCodes: Readonly<Record<number, string>> = {
  3: 'SQLITE_PERM',
  5: 'SQLITE_BUSY',
  6: 'SQLITE_LOCKED',
  8: 'SQLITE_READONLY',
  10: 'SQLITE_IOERR',
  11: 'SQLITE_CORRUPT',
  13: 'SQLITE_FULL',
  14: 'SQLITE_CANTOPEN',
  19: 'SQLITE_CONSTRAINT',
  23: 'SQLITE_AUTH',
  26: 'SQLITE_NOTADB',
};

// Node's errors have the number of the result where better-sqlite3's have its name.
function translated<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    const { errcode } = error as { errcode?: number };
    if (errcode !== undefined) Object.assign(error as object, { code: resultCodes[errcode & 0xff] ?? 'SQLITE_ERROR' });
    throw error;
  }
}
