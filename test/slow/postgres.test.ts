import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { Log } from '../../src/log.ts';
import { type Database, openDatabase } from '../../src/store/database.ts';
import { raiseGeneration } from '../../src/store/generation.ts';
import { needsPostgres, type PostgresServer, startPostgres } from '../helpers/postgres.ts';
import { makeHome, runCli, until } from '../helpers/process.ts';
import { type Network, openProxy } from '../helpers/proxy.ts';

let server: PostgresServer;

beforeAll(async () => {
  if (needsPostgres === '') server = await startPostgres({ max_connections: '40' });
});
afterAll(() => server?.close());

interface Opened {
  database: Database;
  address: string;
  /** Sentences of the log so far. */
  said: string[];
}

/** A log whose sentences are kept. */
function listen(): { log: Log; said: string[] } {
  const said: string[] = [];
  const say = (_: object, sentence: string): void => void said.push(sentence);
  return { said, log: { debug: say, info: say, warn: say, error: say } };
}

async function open(address: string): Promise<Opened> {
  const { log, said } = listen();
  const database = await openDatabase(address, log);
  onTestFinished(() => database.close());
  return { database, address, said };
}

/** A database behind a network of its own. */
async function openBehindProxy(): Promise<Opened & { proxy: Network }> {
  const proxy = await openProxy(server.port);
  onTestFinished(() => proxy.close());
  return { proxy, ...(await open(proxy.through(await server.createDatabase()))) };
}

const raise = (database: Database): Promise<number> => database.write((trx) => raiseGeneration(trx, 'local'));
const degraded = /does not answer/;
const recovered = /answers again/;

describe.skipIf(needsPostgres !== '')(`a PostgreSQL that has a bad day${needsPostgres}`, () => {
  it('is read and written again after a restart, which is said once', async () => {
    const { database, said } = await open(await server.createDatabase());
    await raise(database);
    // Several connections that wait idle for the end.
    await Promise.all(Array.from({ length: 5 }, () => sql`select pg_sleep(0.05)`.execute(database.read)));
    await server.stop('fast');
    expect(database.generation('local')).toBe(1);
    await until(() => said.length > 0);
    const writing = raise(database);
    await server.start();
    expect(await writing).toBe(2);
    expect(await database.read.selectFrom('generation').selectAll().execute()).toEqual([{ tenant: 'local', value: 2 }]);
    expect(await until(() => said.some((line) => recovered.test(line)))).toBe(true);
    expect(said).toEqual([expect.stringMatching(degraded), expect.stringMatching(recovered)]);
  });

  it('does not end the process when it breaks between two statements of a write, which is begun again', async () => {
    const { database, proxy } = await openBehindProxy();
    let attempts = 0;
    const value = await database.write(async (trx) => {
      const raised = await raiseGeneration(trx, 'local');
      if (++attempts === 1) {
        proxy.cut();
        await sleep(100);
      }
      await trx.selectFrom('entries').select('name').execute();
      return raised;
    });
    expect([value, attempts]).toEqual([1, 2]);
  });

  it('is asked again over another connection when one breaks under a read', async () => {
    const { database, proxy } = await openBehindProxy();
    const reading = sql<{ one: number }>`select 1 as one, pg_sleep(0.3)`.execute(database.read);
    await sleep(100);
    proxy.cut();
    expect((await reading).rows[0]?.one).toBe(1);
  });

  it('says that a change may have been kept when the answer to its commit is lost', async () => {
    const { database, proxy } = await openBehindProxy();
    proxy.cutsAfter = (bytes) => bytes.includes('commit');
    await expect(raise(database)).rejects.toMatchObject({
      code: 'database_unavailable',
      hint: expect.stringContaining('may have been kept'),
    });
    proxy.cutsAfter = undefined;
    // It had been: begun again by itself it would have been done twice.
    expect(await raise(database)).toBe(2);
  });

  it('works through a network that is slow or sends bits', async () => {
    const { database, proxy } = await openBehindProxy();
    for (const weather of ['bits', 'late'] as const) {
      proxy.weather = weather;
      const before = database.generation('local');
      expect(await raise(database)).toBe(before + 1);
      const bytes = Buffer.alloc(20_000, weather);
      await database.write((trx) =>
        trx.insertInto('blobs').values({ tenant: 'local', hash: weather, bytes }).execute(),
      );
      const row = await database.read.selectFrom('blobs').selectAll().where('hash', '=', weather).executeTakeFirst();
      expect(row?.bytes).toEqual(bytes);
    }
  });

  it('loses no connection for good to writes that could not begin', async () => {
    const { database, proxy } = await openBehindProxy();
    for (let n = 0; n < 12; n++) {
      proxy.cutsAfter = (bytes) => bytes.includes('start transaction');
      const writing = raise(database);
      await sleep(70);
      proxy.cutsAfter = undefined;
      await writing;
    }
    expect(await raise(database)).toBe(13);
    expect(proxy.count()).toBeLessThanOrEqual(10);
  });

  it('refuses writes while it is read-only, and goes on being read', async () => {
    const { database, address } = await open(await server.createDatabase());
    await raise(database);
    const name = new URL(address).pathname.slice(1);
    const readOnly = (value: string) =>
      server.run('postgres', `alter database ${name} set default_transaction_read_only = ${value}`, end(name));
    await readOnly('on');
    await expect(raise(database)).rejects.toMatchObject({
      code: 'database_unavailable',
      message: expect.stringContaining('read-only'),
    });
    expect(await database.read.selectFrom('generation').select('value').execute()).toEqual([{ value: 1 }]);
    await readOnly('off');
    expect(await raise(database)).toBe(2);
  });

  it('is reached over a socket in a folder, too', async () => {
    const address = await server.createDatabase();
    const name = new URL(address).pathname;
    const { database } = await open(
      `postgres://${name}?host=${encodeURIComponent(server.folder)}&port=${server.port}&user=postgres`,
    );
    expect(await raise(database)).toBe(1);
  });
});

/** Ends the connections to a database, so that new ones take its settings. */
const end = (name: string): string =>
  `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}' and pid <> pg_backend_pid()`;

describe.skipIf(needsPostgres !== '')(`an address that leads to no usable PostgreSQL${needsPostgres}`, () => {
  const wrong: [string, (address: string, proxy: Network) => string, RegExp][] = [
    ['where nothing listens', () => 'postgres://me:hidden-word@127.0.0.1:1/none', /nothing listens there/],
    ['of no database', (address) => address.replace(/[^/]+$/, 'none'), /there is no such database/],
    ['of no host', () => 'postgres://me:hidden-word@no-such-host.invalid/none', /no such host|EAI_AGAIN/],
    ['of a user without rights', (address) => address.replace('postgres@', 'nobody:hidden-word@'), /may not/],
  ];
  it.each(wrong)('ends a command with what is wrong: one %s', async (_, change, reason) => {
    const proxy = await openProxy(server.port);
    onTestFinished(() => proxy.close());
    await server.run(
      'postgres',
      `do $$ begin create role nobody login; exception when duplicate_object then null; end $$`,
    );
    const address = change(await server.createDatabase(), proxy);
    const { code, signal, stdout, stderr } = await runCli(['list'], {
      home: makeHome(),
      env: { DATABASE_URL: address },
    });
    expect([code, signal, stdout]).toEqual([1, null, '']);
    expect(stderr).toMatch(/^error \[database_unavailable\]/);
    expect(stderr).toMatch(reason);
    expect(stderr).not.toContain('hidden-word');
  });
});
