import { copyFile, rename, rm, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { sql } from 'kysely';
import { WeaverError } from '../errors.ts';
import { type Database, openDatabase } from './database.ts';
import { sqliteLibrary } from './sqlite-connection.ts';

/**
 * Writes a whole, consistent copy of the database to a new file while others go on using it.
 * @throws WeaverError `not_supported` for PostgreSQL, `conflict` when the file is there already, and those of the database.
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
  await rm(unfinished, { force: true });
  // One reading transaction: what is written meanwhile is not in the copy, and waits for nobody.
  await sql`vacuum into ${unfinished}`.execute(database.read);
  await rename(unfinished, file);
  return { file, bytes: (await stat(file)).size };
}

/**
 * Puts a backup in the place of the database. What was there is kept beside it.
 * @throws WeaverError `database_damaged`, `database_newer`, `database_unavailable` for a file that is no backup, `busy`
 * when a server still uses the database.
 */
export async function restore(source: string, target: string): Promise<{ file: string; before?: string }> {
  const copy = `${target}.restoring`;
  await rm(copy, { force: true });
  await copyFile(resolve(source), copy).catch((cause: unknown) => {
    throw new WeaverError('bad_input', `${source} cannot be read: ${(cause as Error).message}`, {
      hint: 'Name a file that toolweaver backup wrote.',
      cause,
    });
  });
  try {
    // Opened once: damaged and newer ones are refused here, older ones are brought up to date.
    const database = await openDatabase(copy);
    const { rows } = await sql<{ quick_check: string }>`pragma quick_check`.execute(database.read);
    await sql`pragma wal_checkpoint(truncate)`.execute(database.read);
    await database.close();
    if (rows[0]?.quick_check !== 'ok') {
      throw new WeaverError('database_damaged', `${source} is damaged; nothing was changed.`, {
        hint: 'Use another backup.',
      });
    }
    const before = (await exists(target)) ? await setAside(target) : undefined;
    await rename(copy, target);
    return { file: target, ...(before !== undefined && { before }) };
  } finally {
    for (const part of ['', '-wal', '-shm']) await rm(`${copy}${part}`, { force: true });
  }
}

async function setAside(file: string): Promise<string> {
  await refuseUsed(file);
  const aside = `${file}.before-${new Date().toISOString().replaceAll(/[:.]/g, '-')}`;
  await rename(file, aside);
  for (const part of ['-wal', '-shm']) await rm(`${file}${part}`, { force: true });
  return aside;
}

// Whoever has it open would go on with the file that was set aside, and lose what it writes. Only the last connection
// can leave the write-ahead log, so this also brings everything into the one file.
async function refuseUsed(file: string): Promise<void> {
  const open = await sqliteLibrary();
  const connection = open(file, 0);
  try {
    connection.run('pragma journal_mode = delete');
  } catch (cause) {
    if ((cause as { code?: string }).code !== 'SQLITE_BUSY') return; // Damaged, say: then nobody can be using it.
    throw new WeaverError('busy', `${file} is in use.`, {
      hint: 'End the servers of this home (hosts that started one, too), then restore again.',
      cause,
    });
  } finally {
    connection.close();
  }
}

const exists = (file: string): Promise<boolean> =>
  stat(file).then(
    () => true,
    () => false,
  );
