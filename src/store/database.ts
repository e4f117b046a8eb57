import { type Log, silentLog } from '../log.ts';
import type { Bus } from './bus.ts';
import type { Db } from './tables.ts';

export type DatabaseKind = 'sqlite' | 'postgres';

/** The truth: all that must survive. */
export interface Database {
  readonly kind: DatabaseKind;
  /** Where it is, for messages. */
  readonly file: string;
  /** For single reading statements. Never see half of a write. */
  readonly read: Db;
  /**
   * Runs `work` in one write transaction: all of it is kept or nothing. Waits for the lock up to 10 s without blocking.
   * `work` may be run again from its start, so it does nothing but read and write here.
   * @throws WeaverError `busy`, `database_unavailable`, `database_damaged`, or whatever `work` throws.
   */
  write<T>(work: (trx: Db) => Promise<T>): Promise<T>;
  /**
   * The tenant's catalog generation; cheap enough to be asked before every request (about 3 µs).
   * @throws WeaverError `database_newer` once a newer ToolWeaver has migrated the database.
   */
  generation(tenant: string): number;
  /** From now on others are told of changes of the catalog over the bus, and theirs are looked for when they tell. */
  join(bus: Bus): void;
  close(): Promise<void>;
}

/**
 * Opens a database and brings its tables up to date: PostgreSQL when the address is one, else the SQLite file of that
 * name, or `:memory:`.
 * @throws WeaverError `database_newer`, `database_damaged`, `database_unavailable` (another program's too), `busy`.
 */
export async function openDatabase(address: string, log: Log = silentLog): Promise<Database> {
  if (isPostgres(address)) {
    const { openPostgres } = await import('./postgres.ts');
    return openPostgres(address, log);
  }
  const { openSqlite } = await import('./sqlite-database.ts');
  return openSqlite(address, log);
}

/** True for the address of a PostgreSQL database, or of a server of its protocol. */
export const isPostgres = (address: string): boolean => /^postgres(?:ql)?:/.test(address);
