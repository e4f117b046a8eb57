import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { getBlob, putBlob } from '../../src/store/blobs.ts';
import { openDatabase } from '../../src/store/database.ts';
import { raiseGeneration } from '../../src/store/generation.ts';
import { migrations } from '../../src/store/migrations.ts';
import { retryBusy } from '../../src/store/sqlite.ts';
import { temporaryFolder, testApp } from '../helpers/app.ts';
import { makeHome, runCli } from '../helpers/process.ts';

const fileIn = (home: string): string => join(home, 'toolweaver.db');
const hashOf = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');

let used: string | undefined;

/** A closed database of its own with a saved skill in it. */
async function usedDatabase(): Promise<string> {
  if (used === undefined) {
    const made = fileIn(makeHome());
    const app = await testApp({ file: made });
    await app.save();
    await app.close();
    used = made;
  }
  const file = fileIn(makeHome());
  copyFileSync(used, file);
  return file;
}

describe('the tables', () => {
  it('have the tenant first in every key, but for the list of migrations', async () => {
    const file = fileIn(makeHome());
    await (await openDatabase(file)).close();
    const raw = new Database(file, { readonly: true });
    const tables = raw
      .prepare("select name from sqlite_master where type = 'table' and name not like 'sqlite_%'")
      .pluck();
    const keys = tables.all().map((name) => {
      const columns = raw.pragma(`table_info(${name})`) as { name: string; pk: number }[];
      const first = columns.find((column) => column.pk === 1)?.name;
      const foreign = raw.pragma(`foreign_key_list(${name})`) as { seq: number; from: string; to: string }[];
      return { name, first, foreign: foreign.filter((key) => key.seq === 0).map((key) => `${key.from} → ${key.to}`) };
    });
    expect(keys.map((key) => key.name)).toEqual(expect.arrayContaining(['entries', 'versions', 'blobs', 'generation']));
    for (const { name, first, foreign } of keys) {
      expect([name, first]).toEqual([name, name === 'migrations' ? 'id' : 'tenant']);
      for (const key of foreign) expect([name, key]).toEqual([name, 'tenant → tenant']);
    }
    raw.close();
  });

  it('are made once when four processes start at once on an empty home', async () => {
    const home = join(makeHome(), 'not', 'made', 'yet');
    const ended = await Promise.all([1, 2, 3, 4].map(() => runCli(['list', '--json'], { home })));
    expect(ended.map(({ code, stderr }) => [code, stderr])).toEqual(ended.map(() => [0, '']));
    const raw = new Database(fileIn(home), { readonly: true });
    expect(raw.prepare('select name from migrations order by id').pluck().all()).toEqual(
      migrations.map(({ name }) => name),
    );
    raw.close();
  });
});

describe('a database that cannot be used', () => {
  const damages: [string, (file: string) => void][] = [
    ['whose header is overwritten', (file) => overwrite(file, 0, 100)],
    ['that was cut off', (file) => truncateSync(file, 8_192)],
    ['whose pages are overwritten', (file) => overwrite(file, 4_096, 60_000)],
    ['that is another kind of file', (file) => writeFileSync(file, 'a note that somebody put here\n'.repeat(500))],
  ];
  it.each(damages)('is reported and left as it is: one %s', async (_, damage) => {
    const file = await usedDatabase();
    damage(file);
    const before = hashOf(file);
    await expect(testApp({ file })).rejects.toMatchObject({
      code: 'database_damaged',
      message: expect.stringContaining(file),
      hint: expect.stringContaining('backup'),
    });
    expect(hashOf(file)).toBe(before);
  });

  it('is reported by the command as well, with what to do', async () => {
    const home = makeHome();
    copyFileSync(await usedDatabase(), fileIn(home));
    overwrite(fileIn(home), 0, 100);
    const before = hashOf(fileIn(home));
    const { code, stdout, stderr } = await runCli(['list', '--json'], { home });
    expect([code, stdout]).toEqual([1, '']);
    expect(JSON.parse(stderr).error).toMatchObject({ code: 'database_damaged' });
    expect(hashOf(fileIn(home))).toBe(before);
  });

  it('is refused and not changed when a newer ToolWeaver wrote it', async () => {
    const file = await usedDatabase();
    const raw = new Database(file);
    raw.prepare('insert into migrations (id, name, at) values (?, ?, ?)').run(migrations.length + 1, 'of tomorrow', 0);
    raw.close();
    const before = hashOf(file);
    await expect(openDatabase(file)).rejects.toMatchObject({
      code: 'database_newer',
      hint: expect.stringContaining('Update'),
    });
    expect(hashOf(file)).toBe(before);
  });

  it('is refused and not changed when it belongs to another program', async () => {
    const file = fileIn(makeHome());
    const raw = new Database(file);
    raw.exec('create table entries (a); insert into entries values (1)');
    raw.close();
    const before = hashOf(file);
    await expect(openDatabase(file)).rejects.toMatchObject({
      code: 'database_unavailable',
      message: expect.stringContaining('another program'),
    });
    expect(hashOf(file)).toBe(before);
  });

  it('is named when a folder stands in its place', async () => {
    const home = makeHome();
    mkdirSync(fileIn(home));
    const { code, stderr } = await runCli(['list'], { home });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error \[database_unavailable\] .*toolweaver\.db/);
  });
});

function overwrite(file: string, from: number, bytes: number): void {
  writeSync(openSync(file, 'r+'), Buffer.alloc(bytes, 0xaa), 0, bytes, from);
}

describe('a write', () => {
  it('is kept whole or not at all', async () => {
    const database = await openDatabase(fileIn(makeHome()));
    const failing = database.write(async (trx) => {
      await putBlob(trx, 'local', 'first half');
      throw new Error('before the second half');
    });
    await expect(failing).rejects.toThrow('before the second half');
    expect(await database.read.selectFrom('blobs').selectAll().execute()).toEqual([]);
    await database.write((trx) => putBlob(trx, 'local', 'whole'));
    expect(await database.read.selectFrom('blobs').selectAll().execute()).toHaveLength(1);
    await database.close();
  });

  it('is not seen before its end, and holds up no reader', async () => {
    const database = await openDatabase(fileIn(makeHome()));
    let goOn: () => void = () => {};
    const gate = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const writing = database.write(async (trx) => {
      await putBlob(trx, 'local', 'text');
      await gate;
    });
    const count = async () => (await database.read.selectFrom('blobs').selectAll().execute()).length;
    expect(await count()).toBe(0);
    goOn();
    await writing;
    expect(await count()).toBe(1);
    await database.close();
  });

  it('runs alone, in the order in which writes were asked for', async () => {
    const database = await openDatabase(fileIn(makeHome()));
    const order: string[] = [];
    await Promise.all(
      ['a', 'b', 'c'].map((name) =>
        database.write(async (trx) => {
          order.push(`${name} begins`);
          await raiseGeneration(trx, 'local');
          order.push(`${name} ends`);
        }),
      ),
    );
    expect(order).toEqual(['a', 'b', 'c'].flatMap((name) => [`${name} begins`, `${name} ends`]));
    expect(database.generation('local')).toBe(3);
    await database.close();
  });
});

describe('the generation', () => {
  it('is counted for each tenant, and seen by another connection', async () => {
    const file = fileIn(makeHome());
    const [one, other] = [await openDatabase(file), await openDatabase(file)];
    expect(other.generation('local')).toBe(0);
    await one.write((trx) => raiseGeneration(trx, 'local'));
    expect(await one.write((trx) => raiseGeneration(trx, 'local'))).toBe(2);
    expect([other.generation('local'), other.generation('theirs')]).toEqual([2, 0]);
    await one.close();
    await other.close();
  });
});

describe('a blob', () => {
  it('is kept once, for its tenant alone, and given back by its hash', async () => {
    const database = await openDatabase(':memory:');
    const [hash, again] = await database.write(async (trx) => [
      await putBlob(trx, 'local', 'text ü'),
      await putBlob(trx, 'local', 'text ü'),
    ]);
    expect(again).toBe(hash);
    expect(await getBlob(database.read, 'local', hash ?? '')).toBe('text ü');
    await expect(getBlob(database.read, 'theirs', hash ?? '')).rejects.toMatchObject({ code: 'seal_broken' });
    await database.close();
  });

  it('is not given out when a byte of it was altered', async () => {
    const database = await openDatabase(':memory:');
    const hash = await database.write((trx) => putBlob(trx, 'local', 'return 1'));
    await database.write((trx) =>
      trx
        .updateTable('blobs')
        .set({ bytes: Buffer.from('return 2') })
        .execute(),
    );
    await expect(getBlob(database.read, 'local', hash)).rejects.toMatchObject({
      code: 'seal_broken',
      message: expect.stringContaining('altered'),
    });
    await database.close();
  });
});

describe('waiting for a lock', () => {
  const busy = () => Object.assign(new Error('database is locked'), { code: 'SQLITE_BUSY' });

  it('ends when the lock does', async () => {
    let attempts = 0;
    const value = await retryBusy('file', () => {
      if (++attempts < 3) throw busy();
      return 'got it';
    });
    expect([value, attempts]).toEqual(['got it', 3]);
  });

  it('ends as busy ten seconds after it was asked for', async () => {
    let now = 0;
    let attempts = 0;
    const waiting = retryBusy(
      'file',
      () => {
        attempts++;
        throw busy();
      },
      { now: () => (now += 1_000), since: 0 },
    );
    await expect(waiting).rejects.toMatchObject({ code: 'busy', message: expect.stringContaining('10 s') });
    expect(attempts).toBe(10);
  });

  it('tries once for who has waited in the queue for longer than that', async () => {
    expect(await retryBusy('file', () => 'free by now', { now: () => 60_000, since: 0 })).toBe('free by now');
    const waiting = retryBusy('file', () => Promise.reject(busy()), { now: () => 60_000, since: 0 });
    await expect(waiting).rejects.toThrow('locked');
  });

  it('is not for other errors', async () => {
    let attempts = 0;
    const failing = retryBusy('file', () => {
      attempts++;
      throw Object.assign(new Error('disk image is malformed'), { code: 'SQLITE_CORRUPT_INDEX' });
    });
    await expect(failing).rejects.toMatchObject({ code: 'database_damaged' });
    expect(attempts).toBe(1);
  });
});

describe('the file', () => {
  it('is readable by its user only, also in a folder that others may read', async () => {
    const folder = temporaryFolder();
    chmodSync(folder, 0o755);
    const file = join(folder, 'toolweaver.db');
    const database = await openDatabase(file);
    await database.write((trx) => trx.insertInto('generation').values({ tenant: 'a', value: 1 }).execute());
    for (const name of readdirSync(folder)) expect(statSync(join(folder, name)).mode & 0o077, name).toBe(0);
    await database.close();
  });
});
