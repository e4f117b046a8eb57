import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, openSync, readdirSync, readFileSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { describe, expect, it, onTestFinished } from 'vitest';
import { backUp, restore } from '../../src/store/backup.ts';
import { openDatabase } from '../../src/store/database.ts';
import { raiseGeneration } from '../../src/store/generation.ts';
import { migrations } from '../../src/store/migrations.ts';
import { makeHome } from '../helpers/process.ts';

const newFile = (): string => join(makeHome(), 'toolweaver.db');
const hashOf = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');

async function open(file: string) {
  const database = await openDatabase(file);
  onTestFinished(() => database.close());
  return database;
}

/** A closed database whose generation is `generation`. */
async function make(generation: number, file = newFile()): Promise<string> {
  const database = await openDatabase(file);
  await database.write(async (trx) => {
    for (let n = 0; n < generation; n++) await raiseGeneration(trx, 'local');
  });
  await database.close();
  return file;
}

async function generationIn(file: string): Promise<number> {
  const database = await openDatabase(file);
  const generation = database.generation('local');
  await database.close();
  return generation;
}

describe('a backup', () => {
  it('is whole and of one moment while others write', async () => {
    const file = newFile();
    const [database, other] = [await open(file), await open(file)];
    let isOver = false;
    let written = 0;
    const writing = (async () => {
      while (!isOver) {
        await other.write(async (trx) => {
          const value = await raiseGeneration(trx, 'local');
          const bytes = Buffer.alloc(20_000, value);
          await trx
            .insertInto('blobs')
            .values({ tenant: 'local', hash: String(value), bytes })
            .execute();
        });
        written++;
        await sleep(1);
      }
    })();
    while (written < 20) await sleep(5);
    const copies: string[] = [];
    for (let n = 0; n < 3; n++) {
      const copy = newFile();
      const atLeast = written;
      const { bytes } = await backUp(database, copy);
      expect(bytes).toBe(statSync(copy).size);
      const raw = new Database(copy, { readonly: true });
      const [generation, blobs] = ['select value from generation', 'select count(*) from blobs'].map((query) =>
        raw.prepare(query).pluck().get(),
      );
      expect(raw.pragma('integrity_check', { simple: true })).toBe('ok');
      raw.close();
      expect(generation).toBe(blobs);
      expect(generation).toBeGreaterThanOrEqual(atLeast);
      copies.push(copy);
    }
    isOver = true;
    await writing;
    expect(await generationIn(copies[0] ?? '')).toBeLessThanOrEqual(written);
  });

  it('is for this user alone, and leaves nothing beside it', async () => {
    const database = await open(await make(1));
    const copy = newFile();
    // What an earlier one that was killed has left.
    writeFileSync(`${copy}.unfinished`, 'half', { mode: 0o644 });
    await backUp(database, copy);
    expect(statSync(copy).mode & 0o777).toBe(0o600);
    expect(readdirSync(dirname(copy))).toEqual(['toolweaver.db']);
  });

  it('leaves a file that is there as it is', async () => {
    const database = await open(await make(1));
    const copy = newFile();
    writeFileSync(copy, 'mine');
    await expect(backUp(database, copy)).rejects.toMatchObject({ code: 'conflict' });
    expect(readFileSync(copy, 'utf8')).toBe('mine');
  });

  it('says where it cannot be written', async () => {
    const database = await open(await make(1));
    const copy = join(makeHome(), 'no', 'such', 'folder.db');
    await expect(backUp(database, copy)).rejects.toMatchObject({
      code: 'bad_input',
      message: expect.stringContaining(copy),
    });
  });
});

describe('restoring', () => {
  it('puts the backup in place and keeps what was there', async () => {
    const [source, target] = [await make(3), await make(7)];
    chmodSync(source, 0o644);
    const { file, before } = await restore(source, target);
    expect([file, statSync(target).mode & 0o777]).toEqual([target, 0o600]);
    expect([await generationIn(target), await generationIn(before ?? ''), await generationIn(source)]).toEqual([
      3, 7, 3,
    ]);
    expect(readdirSync(dirname(target)).filter((name) => name.includes('restoring'))).toEqual([]);
  });

  it('works where nothing was', async () => {
    const target = newFile();
    expect(await restore(await make(3), target)).toEqual({ file: target });
    expect(await generationIn(target)).toBe(3);
  });

  it('keeps what a server that was killed had written but not yet moved into the file', async () => {
    const target = await make(7);
    const killed = new Database(target);
    killed.exec('update generation set value = 8');
    const [file, log] = [target, `${target}-wal`].map((part) => readFileSync(part));
    killed.close();
    writeFileSync(target, file ?? '');
    writeFileSync(`${target}-wal`, log ?? '');
    const { before } = await restore(await make(3), target);
    expect([await generationIn(target), await generationIn(before ?? '')]).toEqual([3, 8]);
  });

  const refused: [string, (file: string) => void, string][] = [
    ['of a newer ToolWeaver', (file) => addMigration(file), 'database_newer'],
    ['that is damaged at its start', (file) => overwrite(file, 0), 'database_damaged'],
    ['that is damaged in the middle', (file) => overwrite(file, 8_192), 'database_damaged'],
    ['that is no database', (file) => writeFileSync(file, 'a note\n'.repeat(2_000)), 'database_damaged'],
    ['that is empty', (file) => writeFileSync(file, ''), 'bad_input'],
    ['of another program', (file) => otherProgram(file), 'database_unavailable'],
  ];
  it.each(refused)('refuses a file %s, and changes nothing', async (_, spoil, code) => {
    const [source, target] = [await make(3), await make(7)];
    spoil(source);
    const before = hashOf(target);
    await expect(restore(source, target)).rejects.toMatchObject({ code });
    expect(hashOf(target)).toBe(before);
    expect(readdirSync(dirname(target))).toEqual(['toolweaver.db']);
  });

  it('refuses a file that is not there, and a folder', async () => {
    const target = await make(7);
    for (const source of [newFile(), makeHome()])
      await expect(restore(source, target)).rejects.toMatchObject({ code: 'bad_input' });
    expect(await generationIn(target)).toBe(7);
  });

  it('refuses while the database is in use, whoever uses it', async () => {
    const [source, target] = [await make(3), await make(7)];
    const used = await open(target);
    await expect(restore(source, target)).rejects.toMatchObject({
      code: 'busy',
      message: expect.stringContaining('in use'),
    });
    await used.write((trx) => raiseGeneration(trx, 'local'));
    await used.close();
    expect(await generationIn(target)).toBe(8);
  });

  it('replaces a damaged database, which is kept as it is', async () => {
    const [source, target] = [await make(3), await make(7)];
    overwrite(target, 0);
    const damaged = hashOf(target);
    const { before = '' } = await restore(source, target);
    expect(await generationIn(target)).toBe(3);
    expect(hashOf(before)).toBe(damaged);
  });

  it('leaves a folder in the place of the database as it is', async () => {
    const target = newFile();
    mkdirSync(target);
    await expect(restore(await make(3), target)).rejects.toMatchObject({ code: 'database_unavailable' });
    expect(statSync(target).isDirectory()).toBe(true);
  });
});

function addMigration(file: string): void {
  const raw = new Database(file);
  raw.prepare('insert into migrations (id, name, at) values (?, ?, 0)').run(migrations.length + 1, 'of tomorrow');
  raw.close();
}

function overwrite(file: string, from: number): void {
  writeSync(openSync(file, 'r+'), Buffer.alloc(60_000, 0xaa), 0, 60_000, from);
}

function otherProgram(file: string): void {
  writeFileSync(file, '');
  const raw = new Database(file);
  raw.exec('create table notes (a)');
  raw.close();
}
