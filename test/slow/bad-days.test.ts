import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { openApp } from '../../src/app.ts';
import { openHttpServer } from '../../src/cli/http-server.ts';
import { loadConfig } from '../../src/config.ts';
import { type Log, silentLog } from '../../src/log.ts';
import { openDatabase } from '../../src/store/database.ts';
import { raiseGeneration } from '../../src/store/generation.ts';
import { agent, draft } from '../helpers/app.ts';
import { needsPostgres, type PostgresServer, startPostgres } from '../helpers/postgres.ts';
import { makeHome, runCli, until } from '../helpers/process.ts';
import { type Network, openProxy, type Weather } from '../helpers/proxy.ts';

let server: PostgresServer;

beforeAll(async () => {
  if (needsPostgres === '') server = await startPostgres({ max_connections: '40' });
});
afterAll(() => server?.close());

const tooLongMs = 20_000;

/** What it gives or the code of its error, and that it did not hang. */
async function endOf(work: Promise<unknown>): Promise<unknown> {
  const started = Date.now();
  const end = await work.catch((error: { code?: string }) => error.code ?? error);
  expect(Date.now() - started).toBeLessThan(tooLongMs);
  return end;
}

interface Behind {
  network: Network;
  address: string;
}

async function behindProxy(): Promise<Behind> {
  const network = await openProxy(server.port);
  onTestFinished(() => network.close());
  return { network, address: network.through(await server.createDatabase()) };
}

function change({ network }: Behind, weather: Weather): void {
  network.weather = weather;
}

/** A server over HTTP with a saved skill, whose database is behind a network of its own. */
async function serving({ address }: Behind) {
  const said: string[] = [];
  const say = (_: object, sentence: string): void => void said.push(sentence);
  const log: Log = { debug() {}, info() {}, warn: say, error: say };
  const settings = { home: makeHome(), httpAddress: '127.0.0.1:0', auth: 'none', sandboxThreads: 1 };
  const app = await openApp(loadConfig({}, settings).config, log, { databaseFile: address });
  onTestFinished(() => app.close());
  const http = await openHttpServer(app, { graceMs: 100 });
  onTestFinished(() => http.close());
  const call = (tool: string, input: unknown) =>
    app.call({ tool, input, principal: agent, via: 'mcp', signal: new AbortController().signal });
  const use = async (tool: string, input: unknown) => {
    const outcome = await call(tool, input);
    if (outcome.status === 'failed') throw outcome.error;
    return (outcome as { value: unknown }).value;
  };
  expect(await use('save_skill', draft())).toMatchObject({ state: 'active' });
  expect(await use('double', { x: 1 })).toEqual({ y: 2 });
  const ready = async () => (await fetch(`${http.url}/readyz`)).status;
  return { said, use, ready };
}

const degraded = (line: string): boolean => line.includes('the database does not answer');
const recovered = (line: string): boolean => line.includes('the database answers again');

describe.skipIf(needsPostgres !== '')(`a server whose PostgreSQL has a bad day${needsPostgres}`, () => {
  const days: [string, (behind: Behind) => unknown, (behind: Behind) => unknown][] = [
    ['restarts', () => server.stop('fast'), () => server.start()],
    ['crashes and starts again', () => server.stop('immediate'), () => server.start()],
    [
      'is cut off',
      (behind) => {
        change(behind, 'cut');
        behind.network.cut();
      },
      (behind) => change(behind, 'clear'),
    ],
    ['falls silent', (behind) => change(behind, 'silent'), (behind) => change(behind, 'clear')],
  ];
  it.each(days)(
    'goes on with saved skills while it %s, says so once, and recovers by itself',
    async (_, begin, end) => {
      const behind = await behindProxy();
      const { said, use, ready } = await serving(behind);
      expect(await ready()).toBe(200);
      await begin(behind);
      const asked = [
        endOf(use('double', { x: 21 })),
        endOf(use('save_skill', draft({ name: 'lost', description: 'Not saved.' }))),
        endOf(ready()),
        endOf(use('list_versions', { name: 'double' })),
      ];
      expect(await asked[0]).toEqual({ y: 42 });
      const [, saved, status, listed] = await Promise.all(asked);
      expect(saved).toMatch(/^(database_unavailable|busy)$/);
      expect(status).toBe(503);
      expect(listed).toMatch(/^(database_unavailable|busy)$/);
      expect(await endOf(use('double', { x: 4 }))).toEqual({ y: 8 });
      expect(said.filter(degraded)).toHaveLength(1);

      await end(behind);
      expect(await until(async () => (await ready()) === 200, 30_000)).toBe(true);
      expect(await use('save_skill', draft({ name: 'kept', description: 'Saved again.' }))).toMatchObject({
        state: 'active',
      });
      expect(await use('kept', { x: 1 })).toEqual({ y: 2 });
      expect(await until(() => said.some(recovered))).toBe(true);
      expect([said.filter(degraded).length, said.filter(recovered).length]).toEqual([1, 1]);
      const ofReadyz = said.filter((line) => line.startsWith('/readyz'));
      expect(ofReadyz).toEqual(['/readyz is not well', '/readyz is well again']);
      console.log(`said: ${[...new Set(said)].join(' | ')}`);
    },
  );

  it('does not end when a connection is told of a shutdown while it changes hands', async () => {
    const { network, address } = await behindProxy();
    const database = await openDatabase(address);
    onTestFinished(() => database.close());
    const fields = ['SFATAL', 'VFATAL', 'C57P01', 'Mterminating connection due to administrator command', ''];
    const said = Buffer.from(`${fields.join('\0')}\0`);
    const head = Buffer.from([0x45, 0, 0, 0, said.length + 4]);
    network.postscript = Buffer.concat([head, said]);
    const asked = Array.from({ length: 20 }, () => database.read.selectFrom('entries').select('name').execute());
    await Promise.allSettled(asked);
    network.postscript = undefined;
    const name = () => database.read.selectFrom('entries').select('name').execute();
    expect(
      await until(() =>
        name()
          .then(() => true)
          .catch(() => false),
      ),
    ).toBe(true);
  });

  it('closes in a bounded time while it is silent', async () => {
    const { network, address } = await behindProxy();
    const database = await openDatabase(address);
    await Promise.all(Array.from({ length: 5 }, () => sql`select pg_sleep(0.1)`.execute(database.read)));
    network.weather = 'silent';
    const writing = database.write((trx) => raiseGeneration(trx, 'local')).catch(() => {});
    await sleep(50);
    const started = Date.now();
    await database.close();
    expect(Date.now() - started).toBeLessThan(8_000);
    await writing;
  });
});

describe.skipIf(needsPostgres !== '')(`a PostgreSQL that is full${needsPostgres}`, () => {
  it('is busy, not broken, when all connections of a process are taken, and works when one is free', async () => {
    const database = await openDatabase(await server.createDatabase());
    onTestFinished(() => database.close());
    const sleepers = Array.from({ length: 10 }, () => sql`select pg_sleep(4)`.execute(database.read));
    await expect(database.read.selectFrom('entries').select('name').execute()).rejects.toMatchObject({
      code: 'busy',
      message: expect.stringContaining('no connection was free'),
    });
    await Promise.all(sleepers);
    expect(await database.read.selectFrom('entries').select('name').execute()).toEqual([]);
  });

  it('is busy when it takes no more connections, and works when it does', async () => {
    const address = await server.createDatabase();
    const others = await Promise.all(Array.from({ length: 4 }, () => openDatabase(address)));
    const taken = others.flatMap(({ read }) =>
      Array.from({ length: 10 }, () => sql`select pg_sleep(2)`.execute(read).catch(() => {})),
    );
    await sleep(500);
    await expect(openDatabase(address)).rejects.toMatchObject({ code: 'busy' });
    await Promise.all(taken);
    await Promise.all(others.map((other) => other.close()));
    await (await openDatabase(address)).close();
  });
});

describe.skipIf(needsPostgres !== '')(
  `a command whose PostgreSQL takes the connection and never answers${needsPostgres}`,
  () => {
    it.each([[['list']], [['doctor', '--json']], [['verify']]])('ends: toolweaver %j', async (words) => {
      const { network, address } = await behindProxy();
      network.weather = 'silent';
      const started = Date.now();
      const { code, signal, stdout, stderr } = await runCli(words, {
        home: makeHome(),
        env: { DATABASE_URL: address },
      });
      expect([code, signal]).toEqual([1, null]);
      expect(stdout + stderr).toMatch(/does not answer/);
      expect(Date.now() - started).toBeLessThan(tooLongMs);
    });

    it('ends when the database breaks while the rest is being opened', async () => {
      const { network, address } = await behindProxy();
      const before = await openDatabase(address);
      await before.write((trx) => raiseGeneration(trx, 'local'));
      await before.close();
      network.cutsAfter = (bytes) => bytes.includes('from "entries"');
      await expect(
        openApp(loadConfig({}, { home: makeHome() }).config, silentLog, { databaseFile: address }),
      ).rejects.toMatchObject({
        code: 'database_unavailable',
      });
      expect(await until(() => network.count() === 0)).toBe(true);
    });
  },
);
