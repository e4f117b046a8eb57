import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { localPerson } from '../../src/access/principals.ts';
import { decide, listReviews } from '../../src/approval/reviews.ts';
import { libraryReviewEnds } from '../../src/library/decide.ts';
import { verifyLibrary } from '../../src/library/verify.ts';
import { packageRoot } from '../../src/package.ts';
import { openDatabase } from '../../src/store/database.ts';
import { migrations } from '../../src/store/migrations.ts';
import { testApp } from '../helpers/app.ts';
import { makeHome } from '../helpers/process.ts';

const folder = join(packageRoot, 'test/fixtures/databases');
const earlier = readdirSync(folder)
  .filter((name) => name.endsWith('.sql'))
  .map((name) => Number(name.replace('.sql', '')))
  .sort((a, b) => a - b);

/** A file with the database that was written when only the first `step` migrations were known. */
function databaseOf(step: number): string {
  const file = join(makeHome(), 'toolweaver.db');
  const raw = new Database(file);
  raw.pragma('foreign_keys = off');
  raw.exec(readFileSync(join(folder, `${step}.sql`), 'utf8'));
  raw.close();
  return file;
}

/** Every table and index, and every column with its type. */
function shapeOf(file: string): string[] {
  const raw = new Database(file, { readonly: true });
  const names = raw
    .prepare("select name from sqlite_master where name not like 'sqlite_%' order by name")
    .pluck()
    .all() as string[];
  const columns = names.flatMap((name) =>
    (raw.pragma(`table_info(${name})`) as { name: string; type: string; notnull: number; pk: number }[])
      .map((column) => `${name}.${column.name} ${column.type} ${column.notnull} ${column.pk}`)
      .sort(),
  );
  raw.close();
  return [...names, ...columns];
}

function reached(file: string): unknown {
  const raw = new Database(file, { readonly: true });
  const id = raw.prepare('select max(id) from migrations').pluck().get();
  raw.close();
  return id;
}

it('every earlier state of the tables is kept as a database', () => {
  for (let step = 1; step < migrations.length; step++) expect(earlier).toContain(step);
});

describe.each(earlier)('a database that was written when migration %i was the last', (step) => {
  it('is brought to the tables of today', async () => {
    const [file, fresh] = [databaseOf(step), join(makeHome(), 'toolweaver.db')];
    expect(reached(file)).toBe(step);
    for (const each of [file, fresh]) await (await openDatabase(each)).close();
    expect(reached(file)).toBe(migrations.length);
    expect(shapeOf(file)).toEqual(shapeOf(fresh));
  });

  it('keeps what was saved, sealed, decided and called, and goes on with it', async () => {
    const app = await testApp({ file: databaseOf(step) });
    expect(await verifyLibrary(app.database)).toMatchObject({ versions: 6, faults: [] });
    expect(await app.use('double', { x: 21 })).toEqual({ y: 42 });
    expect(await app.use('call_tool', { name: 'double@1.0.0', input: { x: 4 } })).toEqual({ y: 8 });
    expect(await app.use('uses_double', { x: 3 })).toEqual({ y: 6 });
    expect(await app.use('approved', { x: 3 })).toEqual({ y: 6 });
    await expect(app.use('waits', { x: 1 })).rejects.toMatchObject({ code: 'not_approved' });
    await expect(app.use('refused', { x: 1 })).rejects.toMatchObject({ code: 'not_approved' });

    const [review] = await listReviews(app.database.read, 'local', 'open', 10);
    expect(review?.subject.name).toBe('waits');
    const request = { id: review?.id ?? '', verdict: 'approved' as const, seal: review?.subject.seal ?? '' };
    await app.database.write((trx) =>
      decide(trx, libraryReviewEnds, localPerson(), { ...request, how: 'cli' }, Date.now()),
    );
    expect(await app.use('waits', { x: 1 })).toEqual({ y: 2 });
    expect(await app.save({ code: 'export default (input) => ({ y: 2 * input.x });' })).toMatchObject({
      name: 'double',
      state: 'active',
    });
    const calls = await app.database.read.selectFrom('calls').selectAll().where('tool', '=', 'double').execute();
    expect(calls.map(({ via, code }) => `${via} ${code}`)).toContain('cli done');
  });

  it('is left as it was when a migration fails, and is migrated when it does not', async () => {
    const file = databaseOf(step);
    const before = [shapeOf(file), reached(file)];
    const steps = migrations as (typeof migrations)[number][];
    steps.push({
      name: 'breaks half-way',
      up: async (db) => {
        await db.schema.alterTable('versions').addColumn('half', 'text').execute();
        throw new Error('the second half');
      },
    });
    try {
      await expect(openDatabase(file)).rejects.toThrow('the second half');
    } finally {
      steps.pop();
    }
    expect([shapeOf(file), reached(file)]).toEqual(before);
    await (await openDatabase(file)).close();
    expect(reached(file)).toBe(migrations.length);
  });
});
