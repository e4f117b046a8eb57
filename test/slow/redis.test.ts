import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { createLog } from '../../src/log.ts';
import { readRedisAddress } from '../../src/redis-address.ts';
import { createRedisCache } from '../../src/store/cache-redis.ts';
import { openRedis } from '../../src/store/redis.ts';
import { draft } from '../helpers/app.ts';
import { type HttpApp, httpApp } from '../helpers/http.ts';
import { freePort, needsPostgres, type PostgresServer, startPostgres } from '../helpers/postgres.ts';
import { makeHome, runCli, until } from '../helpers/process.ts';
import { type Network, openProxy } from '../helpers/proxy.ts';
import { needsRedis, type RedisServer, startRedis } from '../helpers/redis.ts';

const missing = needsPostgres + needsRedis;
const password = 's3cret';
let postgres: PostgresServer;

beforeAll(async () => {
  if (needsPostgres === '') postgres = await startPostgres();
});
afterAll(() => postgres?.close());

interface Day {
  redis: RedisServer;
  network: Network;
  /** Another client, around the network. */
  raw: Redis;
  /** Lines of the log of both servers that are about Redis. */
  said: { one: string[]; two: string[] };
  one: HttpApp;
  two: HttpApp;
}

/** Two servers on one PostgreSQL that share a Redis behind a network, with a skill that both have called. */
async function makeDay(): Promise<Day> {
  const redis = await startRedis({ requirepass: password });
  onTestFinished(() => redis.close());
  const network = await openProxy(redis.port);
  onTestFinished(() => network.close());
  const said = { one: [] as string[], two: [] as string[] };
  const file = await postgres.createDatabase();
  const start = (lines: string[]) => {
    const log = createLog('warn', { write: (line) => void (line.includes('Redis') && lines.push(line)) });
    const redisUrl = network.through(`redis://:${password}@127.0.0.1:${redis.port}`);
    return httpApp({ file, log, settings: { redisUrl, auth: 'none', sandboxThreads: 1 } });
  };
  const [one, two] = [await start(said.one), await start(said.two)];
  await Promise.all([one.redis?.check(), two.redis?.check()]);
  await one.save();
  expect(await until(async () => (await two.outcome('double', { x: 1 })).status === 'done')).toBe(true);
  return { redis, network, raw: redis.client(), said, one, two };
}

const degraded = /Redis is of no use/;
const recovered = /Redis works again/;
const count = (lines: string[], pattern: RegExp): number => lines.filter((line) => pattern.test(line)).length;

/** Something to do at the beginning of a bad day, or at its end. */
type Deed = (day: Day) => unknown;

describe.skipIf(missing !== '')(`servers whose Redis has a bad day${missing}`, () => {
  const days: [string, RegExp, Deed, Deed][] = [
    ['was killed', /broke/, ({ redis }) => redis.kill(), ({ redis }) => redis.start()],
    [
      'is slow: 2 s an answer',
      /does not answer in time/,
      async ({ raw }) => {
        // As a server that is busy with something else: all wait, and the next ones again.
        for (let i = 0; i < 3; i++) {
          await raw.client('PAUSE', 2_000, 'ALL');
          await sleep(100);
        }
      },
      () => sleep(2_500),
    ],
    [
      'is cut off',
      /broke|ECONNRESET/,
      ({ network }) => {
        network.weather = 'cut';
        network.cut();
      },
      ({ network }) => {
        network.weather = 'clear';
      },
    ],
    [
      'falls silent',
      /does not answer in time/,
      ({ network }) => {
        network.weather = 'silent';
      },
      ({ network }) => {
        network.weather = 'clear';
        network.cut();
      },
    ],
    [
      'is full',
      /it is full/,
      async ({ raw }) => {
        await raw.config('SET', 'maxmemory-policy', 'noeviction');
        await raw.config('SET', 'maxmemory', '1');
      },
      ({ raw }) => raw.config('SET', 'maxmemory', '0'),
    ],
    [
      'got another password',
      /the password is wrong/,
      async ({ raw }) => {
        await raw.config('SET', 'requirepass', 'another');
        await raw.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
        await raw.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
      },
      ({ raw }) => raw.config('SET', 'requirepass', password),
    ],
    [
      'takes no more connections',
      /no more connections/,
      async ({ raw }) => {
        await raw.config('SET', 'maxclients', '1');
        await raw.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
        await raw.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
      },
      ({ raw }) => raw.config('SET', 'maxclients', '100'),
    ],
    [
      'became a replica of one that is gone',
      /read-only replica/,
      async ({ raw }) => raw.replicaof('127.0.0.1', await freePort()),
      ({ raw }) => raw.replicaof('NO', 'ONE'),
    ],
  ];
  it.each(days)('go on while it %s, say so once, and recover by themselves', async (_, reason, begin, end) => {
    const day = await makeDay();
    const { one, two, said } = day;
    await begin(day);
    const started = performance.now();
    await one.save({ name: 'made_meanwhile', description: 'Saved on the bad day.' });
    expect(await one.use('made_meanwhile', { x: 2 })).toEqual({ y: 4 });
    expect(await until(async () => (await two.outcome('made_meanwhile', { x: 4 })).status === 'done')).toBe(true);
    for (let i = 0; i < 20; i++) expect(await two.use('double', { x: i })).toEqual({ y: 2 * i });
    expect(performance.now() - started).toBeLessThan(5_000);
    // Within 5 s each notices, whether or not anything was asked of Redis.
    for (const app of [one, two]) {
      expect(await until(async () => (await app.send('/readyz')).json.status === 'degraded')).toBe(true);
      expect((await app.send('/readyz')).status).toBe(200);
      // Such as why it does not let anybody in again, after it broke off.
      expect(await until(() => reason.test(app.redis?.trouble() ?? ''))).toBe(true);
    }
    await end(day);
    for (const app of [one, two]) {
      expect(await until(async () => (await app.send('/readyz')).json.status === 'ok', 15_000)).toBe(true);
    }
    await one.save({ name: 'made_after', description: 'Saved when all was well again.' });
    expect(await until(async () => (await two.outcome('made_after', { x: 4 })).status === 'done')).toBe(true);
    for (const lines of [said.one, said.two]) {
      expect([count(lines, degraded), count(lines, recovered), lines.length]).toEqual([1, 1, 2]);
      expect(lines.join('')).not.toContain(password);
    }
  });

  it('notice nothing of a flush but that it is empty', async () => {
    const { one, two, raw, said } = await makeDay();
    await raw.flushall();
    await one.save({ name: 'made_after', description: 'Saved after the flush.' });
    expect(await until(async () => (await two.outcome('made_after', { x: 4 })).status === 'done')).toBe(true);
    expect(await two.use('double', { x: 1 })).toEqual({ y: 2 });
    expect([...said.one, ...said.two]).toEqual([]);
  });

  it('run what was reviewed, whatever somebody writes over all that is in Redis', async () => {
    const { one, two, raw } = await makeDay();
    await one.save({ name: 'triple', ...tripling });
    expect(await one.use('triple', { x: 2 })).toEqual({ y: 6 });
    const written = () => raw.keys('toolweaver:*:local:blob:*');
    expect(await until(async () => (await written()).length >= 2)).toBe(true);
    for (const key of await written()) {
      await raw.set(key, 'export default () => ({ y: 666 });');
    }
    expect(await until(async () => (await two.outcome('triple', { x: 2 })).status === 'done')).toBe(true);
    expect(await two.use('triple', { x: 2 })).toEqual({ y: 6 });
    expect(await two.use('describe_tool', { name: 'triple', with_code: true })).toMatchObject({ code: tripling.code });
  });

  it('have a text that another one read from Redis, not from the database', async () => {
    const { one, two } = await makeDay();
    await one.save({ name: 'triple', ...tripling });
    expect(await one.use('triple', { x: 2 })).toEqual({ y: 6 });
    expect(await until(() => two.database.generation('local') === one.database.generation('local'))).toBe(true);
    await one.database.write((trx) => trx.deleteFrom('blobs').execute());
    expect(await two.use('triple', { x: 3 })).toEqual({ y: 9 });
  });
});

const tripling = {
  description: 'Triples a number.',
  code: 'export default async function run(input) { return { y: input.x * 3 }; }',
  examples: [{ input: { x: 1 }, output: { y: 3 } }],
};

describe.skipIf(needsRedis !== '')(`a Redis that never answers${needsRedis}`, () => {
  it('costs 50 ms once, and then nothing', async () => {
    const redis = await startRedis();
    onTestFinished(() => redis.close());
    const link = await open(redis.address);
    const cache = createRedisCache(link);
    await redis.client().client('PAUSE', 3_000, 'ALL');
    const started = performance.now();
    for (let i = 0; i < 1_000; i++) expect(await cache.get(`a:${i}`)).toBeUndefined();
    const tookMs = performance.now() - started;
    expect(tookMs).toBeGreaterThanOrEqual(49);
    expect(tookMs).toBeLessThan(1_000);
  });

  it.each([[['list']], [['call', 'search_tools', '{"queries":["x"]}']]])(
    'does not hold up a command: toolweaver %j',
    async (words) => {
      const network = await openProxy(1);
      onTestFinished(() => network.close());
      network.weather = 'silent';
      const started = performance.now();
      const env = { REDIS_URL: `redis://127.0.0.1:${network.port}` };
      const { code } = await runCli(words, { home: makeHome(), env });
      expect(code).toBe(0);
      expect(performance.now() - started).toBeLessThan(10_000);
    },
  );
});

async function open(address: string, lines: string[] = []) {
  const log = createLog('warn', { write: (line) => void lines.push(line) });
  const link = await openRedis(readRedisAddress(address) ?? expect.fail('no address'), async () => 'secret', log);
  onTestFinished(() => link.close());
  await link.check();
  return link;
}

describe.skipIf(needsRedis !== '')(`a cluster${needsRedis}`, () => {
  const slots = 16_384;

  /** Three servers that share the keys. */
  async function startCluster(): Promise<RedisServer[]> {
    const settings = { 'cluster-enabled': 'yes', 'cluster-node-timeout': '1000', requirepass: password };
    const servers = await Promise.all(
      [0, 1, 2].map(async () => startRedis({ ...settings, 'cluster-port': String(await freePort()) })),
    );
    for (const server of servers) onTestFinished(() => server.close());
    const clients = servers.map((server) => server.client());
    const first = servers[0];
    const busPort = (await clients[0]?.config('GET', 'cluster-port')) as string[];
    for (const [i, client] of clients.entries()) {
      const [from, to] = [i, i + 1].map((n) => Math.floor((n * slots) / servers.length));
      await client.call('CLUSTER', 'ADDSLOTSRANGE', String(from), String((to ?? 0) - 1));
      if (i > 0) await client.call('CLUSTER', 'MEET', '127.0.0.1', String(first?.port), busPort[1] ?? '');
    }
    const isWhole = async () =>
      (await Promise.all(clients.map((client) => client.cluster('INFO')))).every(
        (info) => String(info).includes('cluster_state:ok') && String(info).includes('cluster_known_nodes:3'),
      );
    expect(await until(isWhole, 20_000)).toBe(true);
    return servers;
  }

  it('is a cache and a bus like a single server, by the address of some of it', async () => {
    const servers = await startCluster();
    const address = `redis+cluster://:${password}@127.0.0.1:${servers[0]?.port},127.0.0.1:${servers[1]?.port}`;
    const [one, two] = [await open(address), await open(address)];
    const keys = Array.from({ length: 50 }, (_, i) => `a:${i}`);
    for (const key of keys) await createRedisCache(one).set(key, Buffer.from(key), 60_000);
    for (const key of keys) {
      expect(Buffer.from((await createRedisCache(two).get(key))?.value ?? []).toString()).toBe(key);
    }
    const sizes = await Promise.all(servers.map((server) => server.client().dbsize()));
    expect(Math.min(...sizes)).toBeGreaterThan(0);
    let heard = 0;
    two.onNews(() => heard++);
    expect(await until(() => heard === 1)).toBe(true);
    one.announce();
    expect(await until(() => heard === 2)).toBe(true);
  });

  it('is said once to be down, never with the password, and works again by itself', async () => {
    const servers = await startCluster();
    const lines: string[] = [];
    const link = await open(`redis+cluster://:${password}@127.0.0.1:${servers[0]?.port}`, lines);
    await Promise.all(servers.map((server) => server.kill()));
    expect(await until(() => link.trouble() !== undefined)).toBe(true);
    await Promise.all(servers.map((server) => server.start()));
    expect(await until(() => link.trouble() === undefined, 30_000)).toBe(true);
    expect([count(lines, degraded), count(lines, recovered), lines.length]).toEqual([1, 1, 2]);
    expect(lines.join('')).not.toContain(password);
  });
});

const needsOpenssl = spawnSync('openssl', ['version']).error ? ' (openssl is missing)' : '';

describe.skipIf(needsRedis + needsOpenssl !== '')(`a Redis behind TLS${needsRedis}${needsOpenssl}`, () => {
  async function startEncrypted() {
    const folder = makeHome();
    const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')];
    const words = 'req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost';
    execFileSync('openssl', [...words.split(' '), '-keyout', key, '-out', certificate], { stdio: 'ignore' });
    const port = await freePort();
    const files = { 'tls-cert-file': certificate, 'tls-key-file': key, 'tls-ca-cert-file': certificate };
    const redis = await startRedis({ 'tls-port': String(port), 'tls-auth-clients': 'no', ...files });
    onTestFinished(() => redis.close());
    return { redis, certificate, address: `rediss://localhost:${port}` };
  }
  const doctor = async (env: Record<string, string>): Promise<string> =>
    (await runCli(['doctor'], { home: makeHome(), env })).stdout;

  it('is used where its certificate is trusted, and else refused with the reason', async () => {
    const { certificate, address, redis } = await startEncrypted();
    expect(await doctor({ REDIS_URL: address, NODE_EXTRA_CA_CERTS: certificate })).toMatch(/^ok +redis +rediss:/m);
    expect(await doctor({ REDIS_URL: address })).toMatch(/^broken +redis .*certificate is not trusted/m);
    const byNumber = address.replace('localhost', '127.0.0.1');
    expect(await doctor({ REDIS_URL: byNumber, NODE_EXTRA_CA_CERTS: certificate })).toMatch(
      /^broken +redis .*certificate is not trusted/m,
    );
    const plain = redis.address.replace('redis:', 'rediss:');
    expect(await doctor({ REDIS_URL: plain })).toMatch(/^broken +redis .*(does not answer in time|speak TLS)/m);
  });
});

it.skipIf(missing !== '')(`a save from the command line is announced before it ends${missing}`, async () => {
  const redis = await startRedis();
  onTestFinished(() => redis.close());
  const env = { REDIS_URL: redis.address, DATABASE_URL: await postgres.createDatabase() };
  const heard: string[] = [];
  const spy = redis.client();
  await spy.psubscribe('toolweaver:*:news');
  spy.on('pmessage', (_pattern, channel) => heard.push(channel));
  const { code } = await runCli(['call', 'save_skill', JSON.stringify(draft())], { home: makeHome(), env });
  expect(code).toBe(0);
  expect(await until(() => heard.length === 1)).toBe(true);
});
