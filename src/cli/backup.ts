import type { Command } from 'commander';
import { databaseFileOf } from '../config.ts';
import { WeaverError } from '../errors.ts';
import { compactLibrary, verifyLibrary } from '../library/verify.ts';
import { backUp, restore } from '../store/backup.ts';
import { isPostgres, openDatabase } from '../store/database.ts';
import { action, addCommand, type Cli } from './command.ts';
import { columns, print } from './output.ts';

/** `toolweaver backup`, `restore`, `verify` and `compact`: the care of what is kept. */
export function addBackup(program: Command, env: NodeJS.ProcessEnv): void {
  addCommand(
    program,
    'backup <file>',
    'Write a whole copy of the database to a new file, while servers go on.',
    'toolweaver backup ~/toolweaver-2026-11-24.db',
  ).action(action(env, (cli, file) => save(cli, String(file))));
  addCommand(
    program,
    'restore <file>',
    'Put a backup in the place of the database; what was there is kept beside it.',
    'toolweaver restore ~/toolweaver-2026-11-24.db',
  ).action(action(env, (cli, file) => bringBack(cli, String(file))));
  addCommand(
    program,
    'verify',
    'Check all that is kept: every text against its hash, every version against its seal, every lock.',
    'toolweaver verify --json',
  ).action(action(env, verify));
  addCommand(
    program,
    'compact',
    'Forget what has expired and what nothing names any more, and give the space back.',
    'toolweaver compact',
  ).action(action(env, compact));
}

async function save(cli: Cli, target: string): Promise<number> {
  const database = await openDatabase(databaseFileOf(cli.loaded.config));
  try {
    const { file, bytes } = await backUp(database, target);
    print(cli.asJson, { file, bytes }, `Backed up to ${file} (${Math.ceil(bytes / 1_024)} KiB).`);
    return 0;
  } finally {
    await database.close();
  }
}

async function bringBack(cli: Cli, source: string): Promise<number> {
  const target = databaseFileOf(cli.loaded.config);
  if (isPostgres(target)) {
    throw new WeaverError('not_supported', 'PostgreSQL is restored by the tools of its server.', {
      hint: 'Use pg_restore.',
    });
  }
  const { file, before } = await restore(source, target);
  print(
    cli.asJson,
    { file, before: before ?? null },
    `Restored ${file}.${before ? `\nWhat was there: ${before}` : ''}`,
  );
  return 0;
}

async function verify(cli: Cli): Promise<number> {
  const database = await openDatabase(databaseFileOf(cli.loaded.config));
  try {
    const found = await verifyLibrary(database);
    const rows = found.faults.map(({ what, name, problem }) => [what, name, problem]);
    const head = `${found.versions} versions and ${found.blobs} texts checked: ${rows.length === 0 ? 'all as they were sealed.' : `${rows.length} faults.`}`;
    print(cli.asJson, found, () => (rows.length === 0 ? head : `${head}\n${columns(rows)}`));
    return rows.length === 0 ? 0 : 1;
  } finally {
    await database.close();
  }
}

async function compact(cli: Cli): Promise<number> {
  const database = await openDatabase(databaseFileOf(cli.loaded.config));
  try {
    const forgotten = await compactLibrary(database, Date.now());
    print(cli.asJson, forgotten, `Forgot ${forgotten.runs} runs and ${forgotten.blobs} texts.`);
    return 0;
  } finally {
    await database.close();
  }
}
