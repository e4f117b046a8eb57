import { chmodSync, closeSync, existsSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { Kysely } from 'kysely';
import { WeaverError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Database } from './database.ts';
import { isMigrated, migrate, watchVersion } from './migrate.ts';
import { busyTimeoutMs, explainSqlite, retryBusy, sqliteDialect } from './sqlite.ts';
import { type SqliteConnection, sqliteLibrary } from './sqlite-connection.ts';
import type { Tables } from './tables.ts';

/**
 * Opens a SQLite database, or `:memory:`, and brings its tables up to date.
 * @throws WeaverError `database_newer`, `database_damaged`, `database_unavailable` (another program's too), `busy`.
 */
export async function openSqlite(file: string, log: Log): Promise<Database> {
  const open = await sqliteLibrary();
  if (file !== ':memory:') makePlace(file);
  const opened: SqliteConnection[] = [];
  const connect = async (): Promise<SqliteConnection> => {
    const connection = await retryBusy(file, () => prepare(open(file, busyTimeoutMs), file));
    opened.push(connection);
    return connection;
  };
  const close = (): void => {
    for (const connection of opened) connection.close();
  };
  try {
    const writing = await connect();
    const writer = new Kysely<Tables>({ dialect: sqliteDialect(writing, file) });
    const write: Database['write'] = (work) => writer.transaction().execute(work);
    if (!(await isMigrated(writer, 'sqlite'))) await write((trx) => migrate(trx, 'sqlite', Date.now()));
    const reading = file === ':memory:' ? writing : await connect();
    const read = reading === writing ? writer : new Kysely<Tables>({ dialect: sqliteDialect(reading, file) });
    const ask = reading.prepareValue(generationAndStep);
    const checkVersion = watchVersion(log, file);
    return {
      kind: 'sqlite',
      file,
      read,
      write,
      generation(tenant) {
        const both = explained(file, () => Number(ask(tenant)));
        checkVersion(both % stepsKept);
        return Math.floor(both / stepsKept);
      },
      // Asking the file is quicker than any news of it.
      join: () => {},
      close: async () => {
        if (read !== writer) await read.destroy();
        await writer.destroy();
        close();
      },
    };
  } catch (error) {
    close();
    throw explainSqlite(error, file);
  }
}

// Both in one number, since it is asked before every request.
const stepsKept = 10_000;
const generationAndStep = `select coalesce((select value from generation where tenant = ?), 0) * ${stepsKept} + max(id) from migrations`;

function explained<T>(file: string, ask: () => T): T {
  try {
    return ask();
  } catch (error) {
    throw explainSqlite(error, file);
  }
}

function prepare(sqlite: SqliteConnection, file: string): SqliteConnection {
  try {
    // First, since WAL mode already is a change to the file.
    refuseForeign(sqlite, file);
    sqlite.run('pragma journal_mode = WAL');
    // FULL: an answered save or decision survives a power cut.
    sqlite.run('pragma synchronous = FULL');
    sqlite.run('pragma foreign_keys = ON');
    // 4 MB a connection: the system caches the file as well, and better-sqlite3's 16 MB fill up with written events.
    sqlite.run('pragma cache_size = -4000');
    return sqlite;
  } catch (error) {
    sqlite.close();
    throw error;
  }
}

function refuseForeign(sqlite: SqliteConnection, file: string): void {
  const { rows } = sqlite.run("select name from sqlite_master where type = 'table'");
  const tables = rows.map((row) => (row as { name: string }).name);
  if (tables.length === 0 || (tables.includes('migrations') && tables.includes('generation'))) return;
  throw new WeaverError('database_unavailable', `${file} holds another program's tables; it was left as it is.`, {
    hint: 'Give DATABASE_URL the address of a file of its own, or unset it.',
  });
}

/**
 * Makes the folder of a file, for this user alone, where there is none.
 * @throws WeaverError `database_unavailable`.
 */
function makePlace(file: string): void {
  makeFolder(file);
  try {
    // Inputs, results and signing keys are in it: for this user only, whatever the umask. Its log gets the same mode.
    closeSync(openSync(file, 'wx', 0o600));
  } catch {
    // It is there already, or cannot be made: SQLite says the latter better.
  }
}

export function makeFolder(file: string): void {
  const folder = dirname(file);
  try {
    if (existsSync(folder)) return;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    chmodSync(folder, 0o700);
  } catch (cause) {
    throw new WeaverError('database_unavailable', `The folder ${folder} cannot be made: ${(cause as Error).message}`, {
      hint: 'Set TOOLWEAVER_HOME to a folder you may write to.',
      cause,
    });
  }
}
