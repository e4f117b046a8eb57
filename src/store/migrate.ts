import { type Kysely, sql } from 'kysely';
import { WeaverError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { DatabaseKind } from './database.ts';
import { migrations } from './migrations.ts';
import type { Tables } from './tables.ts';

/**
 * Brings the tables up to date inside one write transaction; a failure leaves the old state.
 * @throws WeaverError `database_newer` when a newer ToolWeaver wrote the database.
 */
export async function migrate(trx: Kysely<Tables>, kind: DatabaseKind, now: number): Promise<void> {
  await sql`create table if not exists migrations (id integer primary key, name text not null, at bigint not null)`.execute(
    trx,
  );
  const { done } = await trx
    .selectFrom('migrations')
    .select((eb) => eb.fn.max('id').as('done'))
    .executeTakeFirstOrThrow();
  const reached = Number(done ?? 0);
  refuseNewer(reached);
  for (const [index, migration] of migrations.entries()) {
    if (index < reached) continue;
    await migration.up(trx as unknown as Kysely<unknown>, kind);
    await trx
      .insertInto('migrations')
      .values({ id: index + 1, name: migration.name, at: now })
      .execute();
  }
}

/** True when nothing is left to do, without taking the write lock. */
export async function isMigrated(db: Kysely<Tables>, kind: DatabaseKind): Promise<boolean> {
  const { rows } = await tableNamed[kind].execute(db);
  if (Number(rows[0]?.found ?? 0) === 0) return false;
  const row = await db
    .selectFrom('migrations')
    .select((eb) => eb.fn.max('id').as('done'))
    .executeTakeFirst();
  refuseNewer(Number(row?.done ?? 0));
  return Number(row?.done ?? 0) === migrations.length;
}

const tableNamed = {
  sqlite: sql<{ found: number }>`select count(*) as found from sqlite_master where name = 'migrations'`,
  postgres: sql<{
    found: number;
  }>`select count(*) as found from information_schema.tables where table_schema = current_schema() and table_name = 'migrations'`,
};

function refuseNewer(reached: number): void {
  if (reached > migrations.length) throw newer(reached, 'Nothing was changed.');
}

const newer = (reached: number, more: string): WeaverError =>
  new WeaverError(
    'database_newer',
    `The database is at step ${reached}, this ToolWeaver knows ${migrations.length}: a newer ToolWeaver wrote it.`,
    { hint: `Update this ToolWeaver, or use another home (TOOLWEAVER_HOME). ${more}` },
  );

/** Looks whether a newer ToolWeaver has migrated a database that is open; says so in the log, once. */
export function watchVersion(log: Log, place: string): (reached: number) => void {
  let isKnown = false;
  return (reached) => {
    if (reached <= migrations.length) return;
    const error = newer(reached, 'Restart this process once it is updated; calls under way still end.');
    if (!isKnown) log.error({ database: place, code: error.code }, `${error.message} Restart this process.`);
    isKnown = true;
    throw error;
  };
}
