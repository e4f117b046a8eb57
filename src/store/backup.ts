import { chmod, copyFile, open, rename, rm, stat, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { sql } from 'kysely';
import { WeaverError } from '../errors.ts';
import { type Database, openDatabase } from './database.ts';
import { type SqliteConnection, sqliteLibrary } from './sqlite-connection.ts';
import { makeFolder } from './sqlite-database.ts';

/**
 * Writes a whole, consistent copy of the database to a new file, which only this user may read, while others go on
 * using it.
 * @throws WeaverError `not_supported` for PostgreSQL, `conflict` when the file is there already, `bad_input` when it
 * cannot be made, and those of the database.
 */
export async function backUp(database: Database, target: string): Promise<{ file: string; bytes: number }> {
  if (database.kind !== 'sqlite') {
    throw new WeaverError('not_supported', `${database.file} is backed up by the tools of its server.`, {
      hint: 'Use pg_dump --format=custom, and pg_restore to bring it back.',
    });
  }
  const file = resolve(target);
  if (await exists(file)) {
    throw new WeaverError('conflict', `${file} is there already; it was left as it is.`, {
      hint: 'Give another name.',
    });
  }
  const unfinished = `${file}.unfinished`;
  await makeEmpty(unfinished, file);
  try {
    // One reading transaction: what is written meanwhile is not in the copy, and waits for nobody.
    await sql`vacuum into ${unfinished}`.execute(database.read);
    await keepOnDisk(unfinished);
    await rename(unfinished, file);
  } catch (error) {
    await rm(unfinished, { force: true });
    throw error;
  }
  return { file, bytes: (await stat(file)).size };
}

async function makeEmpty(unfinished: string, file: string): Promise<void> {
  try {
    await rm(unfinished, { force: true });
    await writeFile(unfinished, '', { flag: 'wx', mode: 0o600 });
  } catch (cause) {
    throw new WeaverError('bad_input', `${file} cannot be written: ${(cause as Error).message}`, {
      hint: 'Name a file in a folder that you may write to.',
      cause,
    });
  }
}

// SQLite does not wait until a copy is on the disk.
async function keepOnDisk(file: string): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Puts a backup in the place of the database. What was there is kept beside it.
 * @throws WeaverError `database_damaged`, `database_newer`, `database_unavailable` for another program's, `bad_input`
 * for a file that is no backup, `busy` when a server still uses the database.
 */
export async function restore(source: string, target: string): Promise<{ file: string; before?: string }> {
  const copy = `${target}.restoring`;
  makeFolder(target);
  try {
    await makeCopy(source, copy);
    const before = (await exists(target)) ? await setAside(target) : undefined;
    await rename(copy, target);
    return { file: target, ...(before !== undefined && { before }) };
  } finally {
    for (const part of parts) await rm(`${copy}${part}`, { force: true });
  }
}

const logs = ['-wal', '-shm'] as const;
const parts = ['', ...logs] as const;

/** A copy of a backup that is sound and of this ToolWeaver's tables. */
async function makeCopy(source: string, copy: string): Promise<void> {
  for (const part of parts) await rm(`${copy}${part}`, { force: true });
  await copyFile(resolve(source), copy).catch((cause: unknown) => {
    throw noBackup(`${source} cannot be read: ${(cause as Error).message}`, cause);
  });
  await chmod(copy, 0o600);
  await refuseEmpty(source, copy);
  // Opened once: damaged and newer ones are refused here, older ones are brought up to date.
  const database = await openDatabase(copy);
  try {
    const { rows } = await sql<{ quick_check: string }>`pragma quick_check`.execute(database.read);
    if (rows[0]?.quick_check !== 'ok') throw damaged(source);
    await sql`pragma wal_checkpoint(truncate)`.execute(database.read);
  } catch (error) {
    throw error instanceof WeaverError && error.code === 'database_damaged' ? damaged(source, error) : error;
  } finally {
    await database.close();
  }
  await keepOnDisk(copy);
}

const noBackup = (message: string, cause?: unknown): WeaverError =>
  new WeaverError('bad_input', message, { hint: 'Name a file that toolweaver backup wrote.', cause });

const damaged = (source: string, cause?: unknown): WeaverError =>
  new WeaverError('database_damaged', `${source} is damaged; nothing was changed.`, {
    hint: 'Use another backup.',
    cause,
  });

// Opened as a database, an empty file would become an empty library.
async function refuseEmpty(source: string, copy: string): Promise<void> {
  let tables: unknown[];
  try {
    tables = await withConnection(copy, (connection) => connection.run('select name from sqlite_master').rows);
  } catch (cause) {
    throw damaged(source, cause);
  }
  if (tables.length === 0) throw noBackup(`${source} is empty; nothing was changed.`);
}

async function withConnection<T>(file: string, work: (connection: SqliteConnection) => T): Promise<T> {
  const connection = (await sqliteLibrary())(file, 0);
  try {
    return work(connection);
  } finally {
    connection.close();
  }
}

async function setAside(file: string): Promise<string> {
  if (!(await stat(file)).isFile()) {
    throw new WeaverError('database_unavailable', `${file} is no file; it was left as it is.`, {
      hint: 'Move it away, or give DATABASE_URL the address of another file.',
    });
  }
  await refuseUsed(file);
  const aside = `${file}.before-${new Date().toISOString().replaceAll(/[:.]/g, '-')}`;
  await rename(file, aside);
  // Only those of a damaged one are still there: they may hold what can be saved of it.
  for (const part of logs) if (await exists(`${file}${part}`)) await rename(`${file}${part}`, `${aside}${part}`);
  return aside;
}

// Whoever has it open would go on with the file that was set aside, and lose what it writes. Only the last connection
// can leave the write-ahead log, so this also brings everything into the one file.
async function refuseUsed(file: string): Promise<void> {
  try {
    await withConnection(file, (connection) => connection.run('pragma journal_mode = delete'));
  } catch (cause) {
    // Damaged, say: then nobody can be using it.
    if (!/^SQLITE_(BUSY|LOCKED)/.test(String((cause as { code?: unknown }).code))) return;
    throw new WeaverError('busy', `${file} is in use.`, {
      hint: 'End the servers of this home (hosts that started one, too), then restore again.',
      cause,
    });
  }
}

const exists = (file: string): Promise<boolean> =>
  stat(file).then(
    () => true,
    () => false,
  );
