import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import { describe, expect, it, onTestFinished } from 'vitest';
import { getBlob, putBlob } from '../../src/store/blobs.ts';
import type { Database } from '../../src/store/database.ts';
import { raiseGeneration } from '../../src/store/generation.ts';
import { migrations } from '../../src/store/migrations.ts';
import { until } from '../helpers/process.ts';

/** A place for one database, empty at first; each `open` is another connection to the same. */
export type Place = () => Promise<Database>;

export interface Store {
  name: string;
  /** Why it is skipped, or nothing. */
  missing?: string;
  /** False where each opening is a database of its own. */
  isShared: boolean;
  makePlace(): Promise<Place>;
}

const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const entry = (name: string, tenant = 'local') => ({
  tenant,
  name,
  name_key: name,
  kind: 'skill',
  active_version: null,
  generation: 0,
  created_at: Date.UTC(2026, 10, 24),
  created_by: 'agent:test',
});

/** What every database owes, whatever is behind it. */
export function storeSuite({ name, missing = '', isShared, makePlace }: Store): void {
  const opening = async (): Promise<Place> => {
    const place = await makePlace();
    return async () => {
      const database = await place();
      onTestFinished(() => database.close());
      return database;
    };
  };
  const itShared: (title: string, test: () => Promise<void>) => void = isShared ? it : () => {};
  const openOne = async (): Promise<Database> => (await opening())();
  const countEntries = async ({ read }: Database): Promise<number> =>
    (await read.selectFrom('entries').select('name').execute()).length;

  describe.skipIf(missing !== '')(`the store over ${name}${missing}`, () => {
    it('keeps all of a write or nothing, whatever fails in it', async () => {
      const database = await openOne();
      const failures: (() => Promise<unknown>)[] = [
        () =>
          database.write(async (trx) => {
            await trx.insertInto('entries').values(entry('first')).execute();
            throw new Error('before the second half');
          }),
        () =>
          database.write(async (trx) => {
            await trx.insertInto('entries').values(entry('first')).execute();
            await sql`select * from a_table_that_is_not_there`.execute(trx);
          }),
      ];
      for (const failing of failures) await expect(failing()).rejects.toThrow();
      expect(await countEntries(database)).toBe(0);
      await database.write((trx) => trx.insertInto('entries').values(entry('first')).execute());
      expect(await countEntries(database)).toBe(1);
    });

    it('refuses a second row of the same key, and goes on', async () => {
      const database = await openOne();
      await database.write((trx) => trx.insertInto('entries').values(entry('taken')).execute());
      const again = database.write(async (trx) => {
        await trx.insertInto('entries').values(entry('other')).execute();
        await trx.insertInto('entries').values(entry('taken')).execute();
      });
      await expect(again).rejects.toThrow();
      expect(await countEntries(database)).toBe(1);
      await database.write((trx) => trx.insertInto('entries').values(entry('taken', 'theirs')).execute());
      expect(await countEntries(database)).toBe(2);
    });

    it('loses none of 50 changes of one row at once', async () => {
      const open = await opening();
      const one = await open();
      const other = isShared ? await open() : one;
      const values = await Promise.all(
        Array.from({ length: 50 }, (_, n) => (n % 2 ? one : other).write((trx) => raiseGeneration(trx, 'local'))),
      );
      expect([...values].sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, n) => n + 1));
      expect(await until(() => one.generation('local') === 50)).toBe(true);
    });

    it('lets what was read decide a write, also when two read it at once', async () => {
      const open = await opening();
      const one = await open();
      const other = isShared ? await open() : one;
      const addNext = (database: Database) =>
        database.write(async (trx) => {
          const rows = await trx.selectFrom('entries').select('name').execute();
          await trx
            .insertInto('entries')
            .values(entry(`entry-${rows.length}`))
            .execute();
        });
      await Promise.all([one, other, one, other, one, other].map(addNext));
      const rows = await one.read.selectFrom('entries').select('name').orderBy('name').execute();
      expect(rows.map((row) => row.name)).toEqual([0, 1, 2, 3, 4, 5].map((n) => `entry-${n}`));
    });

    it('shows nothing of a write before its end', async () => {
      const open = await opening();
      const one = await open();
      const other = isShared ? await open() : one;
      const counts: number[] = [];
      await one.write(async (trx) => {
        await trx.insertInto('entries').values(entry('half')).execute();
        if (isShared) counts.push(await countEntries(other), await countEntries(one));
      });
      expect(counts).toEqual(isShared ? [0, 0] : []);
      expect(await countEntries(one)).toBe(1);
    });

    itShared('shows a raised generation to another connection within a second', async () => {
      const open = await opening();
      const [one, other] = [await open(), await open()];
      expect(other.generation('local')).toBe(0);
      await one.write((trx) => raiseGeneration(trx, 'local'));
      expect(one.generation('local')).toBe(1);
      const changedAt = Date.now();
      expect(await until(() => other.generation('local') === 1)).toBe(true);
      const tookMs = Date.now() - changedAt;
      console.log(`${name}: another connection saw it after ${tookMs} ms`);
      expect(tookMs).toBeLessThan(3_000);
      expect([one, other].map(({ generation }) => generation('theirs'))).toEqual([0, 0]);
    });

    it('gives bytes back as they were', async () => {
      const database = await openOne();
      const every = Uint8Array.from({ length: 512 }, (_, n) => n & 0xff);
      const kept = [every, new Uint8Array(0), Uint8Array.from([0]), new Uint8Array(1_000_000).fill(0xff)];
      await database.write(async (trx) => {
        for (const bytes of kept)
          await trx
            .insertInto('blobs')
            .values({ tenant: 'local', hash: hashOf(bytes), bytes: Buffer.from(bytes) })
            .execute();
      });
      const rows = await database.read.selectFrom('blobs').selectAll().execute();
      expect(rows.map(({ bytes }) => hashOf(bytes)).sort()).toEqual(kept.map(hashOf).sort());
      expect(rows.map(({ hash }) => hash).sort()).toEqual(kept.map(hashOf).sort());
    });

    it('gives texts back as they were, and mends one that was altered', async () => {
      const database = await openOne();
      const texts = ['', 'ü\u0000\n', '👩‍👩‍👧', 'a'.repeat(1_000_000)];
      const hashes = await database.write((trx) =>
        texts.reduce(
          async (before, text) => [...(await before), await putBlob(trx, 'local', text)],
          Promise.resolve<string[]>([]),
        ),
      );
      for (const [n, hash] of hashes.entries()) expect(await getBlob(database.read, 'local', hash)).toBe(texts[n]);
      await database.write((trx) =>
        trx
          .updateTable('blobs')
          .set({ bytes: Buffer.from('x') })
          .execute(),
      );
      await expect(getBlob(database.read, 'local', hashes[1] ?? '')).rejects.toMatchObject({ code: 'seal_broken' });
      await database.write((trx) => putBlob(trx, 'local', texts[1] ?? ''));
      expect(await getBlob(database.read, 'local', hashes[1] ?? '')).toBe(texts[1]);
    });

    it('takes any text for a value, and finds nothing by a name that is none', async () => {
      const database = await openOne();
      const odd = ['a\u0000b', '\ud800', "'; drop table entries; --", '%_', 'ü👩‍👩‍👧', 'x'.repeat(100_000)];
      for (const text of odd) {
        const found = database.read.selectFrom('entries').select('name').where('name', '=', text);
        expect(await found.execute()).toEqual([]);
      }
      const call = { tenant: 'local', tool: 'x', kind: 'skill', version: null, principal: 'agent:test', via: 'mcp' };
      const figures = { at: 1, code: 'done', duration_ms: 1, bytes_in: 1, bytes_out: 1, tokens: 1, cost: null };
      const rows = odd.map((search, n) => ({ ...call, ...figures, id: String(n), search, run: null, parent: null }));
      await database.write((trx) => trx.insertInto('calls').values(rows).execute());
      const kept = await database.read.selectFrom('calls').select('search').orderBy('id').execute();
      expect(kept.slice(2).map(({ search }) => search)).toEqual(odd.slice(2));
    });

    it('gives times, counts and sums as numbers, and what is absent as null', async () => {
      const database = await openOne();
      const at = Date.UTC(2026, 10, 24);
      const call = { tenant: 'local', tool: 'double', kind: 'skill', version: null, principal: 'agent:test' };
      const more = { via: 'mcp', code: 'done', bytes_in: 2, bytes_out: 3, tokens: 1, run: null, parent: null };
      await database.write((trx) =>
        trx
          .insertInto('calls')
          .values([
            { ...call, ...more, id: 'a', at, duration_ms: 0.25, cost: null, search: 'double it' },
            { ...call, ...more, id: 'b', at: at + 1, duration_ms: 12, cost: 0.125, search: null },
          ])
          .execute(),
      );
      const rows = await database.read.selectFrom('calls').selectAll().orderBy('id').execute();
      expect(rows[0]).toEqual({ ...call, ...more, id: 'a', at, duration_ms: 0.25, cost: null, search: 'double it' });
      expect(rows[1]).toMatchObject({ at: at + 1, duration_ms: 12, cost: 0.125, version: null, search: null });
      const figures = await database.read
        .selectFrom('calls')
        .select((eb) => [
          eb.fn.countAll().as('count'),
          eb.fn.max('at').as('last'),
          eb.fn.sum('bytes_in').as('bytes'),
          eb.fn.sum('duration_ms').as('took'),
        ])
        .executeTakeFirstOrThrow();
      expect(figures).toEqual({ count: 2, last: at + 1, bytes: 4, took: 12.25 });
      const changed = await database.write((trx) =>
        trx.updateTable('calls').set({ cost: 0 }).where('id', '=', 'a').executeTakeFirst(),
      );
      expect(Number(changed.numUpdatedRows)).toBe(1);
    });

    it('starts every key with the tenant, but that of the list of migrations', async () => {
      const database = await openOne();
      const keys = await primaryKeys(database);
      expect(keys.map(({ table }) => table)).toEqual(
        expect.arrayContaining(['entries', 'versions', 'blobs', 'dependencies', 'reviews', 'runs', 'tokens', 'calls']),
      );
      const others = keys.filter(({ first }) => first !== 'tenant');
      expect(others).toEqual([{ table: 'migrations', first: 'id' }]);
    });

    itShared('is made once when four open it at once', async () => {
      const open = await opening();
      const opened = await Promise.all([open(), open(), open(), open()]);
      for (const { read } of opened) {
        const rows = await read.selectFrom('migrations').select(['id', 'name']).orderBy('id').execute();
        expect(rows).toEqual(migrations.map(({ name: step }, index) => ({ id: index + 1, name: step })));
      }
    });

    itShared('is left as it is when a newer ToolWeaver wrote it', async () => {
      const open = await opening();
      const one = await open();
      await one.write((trx) =>
        trx
          .insertInto('migrations')
          .values({ id: migrations.length + 1, name: 'of tomorrow', at: 0 })
          .execute(),
      );
      await expect(open()).rejects.toMatchObject({
        code: 'database_newer',
        hint: expect.stringContaining('Nothing was changed'),
      });
      expect(await one.read.selectFrom('migrations').select('id').execute()).toHaveLength(migrations.length + 1);
    });

    itShared('is refused at the next look by who has it open when a newer ToolWeaver migrates it', async () => {
      const open = await opening();
      const [one, other] = [await open(), await open()];
      expect(one.generation('local')).toBe(0);
      await other.write((trx) =>
        trx
          .insertInto('migrations')
          .values({ id: migrations.length + 1, name: 'of tomorrow', at: 0 })
          .execute(),
      );
      const looks = () => {
        try {
          one.generation('local');
        } catch (error) {
          return error;
        }
      };
      expect(await until(() => looks() !== undefined)).toBe(true);
      expect(looks()).toMatchObject({ code: 'database_newer', hint: expect.stringContaining('Restart this process') });
      // What is under way still ends.
      expect(await one.write((trx) => raiseGeneration(trx, 'local'))).toBe(1);
    });

    itShared('keeps the old state when a migration fails, and is migrated when it does not', async () => {
      const open = await opening();
      const steps = migrations as (typeof migrations)[number][];
      steps.push({
        name: 'breaks half-way',
        up: async (db) => {
          await db.schema.createTable('half').addColumn('tenant', 'text').execute();
          throw new Error('the second half');
        },
      });
      try {
        await expect(open()).rejects.toThrow('the second half');
      } finally {
        steps.pop();
      }
      const database = await open();
      expect((await primaryKeys(database)).map(({ table }) => table)).not.toContain('half');
      expect(await database.read.selectFrom('migrations').select('id').execute()).toHaveLength(migrations.length);
    });
  });
}

interface Key {
  table: string;
  first: string;
}

async function primaryKeys({ kind, read }: Database): Promise<Key[]> {
  const ofSqlite = sql<Key>`select m.name as "table", p.name as "first" from sqlite_master m, pragma_table_info(m.name) p
    where m.type = 'table' and m.name not like 'sqlite_%' and p.pk = 1`;
  const ofPostgres = sql<Key>`select k.table_name as "table", u.column_name as "first"
    from information_schema.table_constraints k join information_schema.key_column_usage u
      on u.constraint_name = k.constraint_name and u.table_schema = k.table_schema and u.ordinal_position = 1
    where k.constraint_type = 'PRIMARY KEY' and k.table_schema = current_schema()`;
  return (await (kind === 'sqlite' ? ofSqlite : ofPostgres).execute(read)).rows;
}
