import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { createLog, type Log } from '../../src/log.ts';
import { readRedisAddress } from '../../src/redis-address.ts';
import { createRedisCache } from '../../src/store/cache-redis.ts';
import { openRedis, type RedisLink } from '../../src/store/redis.ts';
import { draft } from '../helpers/app.ts';
import { httpApp } from '../helpers/http.ts';
import { freePort } from '../helpers/postgres.ts';
import { makeHome, runCli, until } from '../helpers/process.ts';
import { needsRedis, type RedisServer, startRedis } from '../helpers/redis.ts';
import { textOf } from '../suites/cache.ts';

const password = 'pass-w0rd/with:signs';
let server: RedisServer;
let address: string;

beforeAll(async () => {
  if (needsRedis !== '') return;
  server = await startRedis({ requirepass: password });
  address = `redis://:${encodeURIComponent(password)}@127.0.0.1:${server.port}`;
});
afterAll(() => server?.close());

/** A log whose lines are kept. */
function listen(): { log: Log; lines: string[] } {
  const lines: string[] = [];
  return { lines, log: createLog('debug', { write: (line) => void lines.push(line) }) };
}

async function open(text: string, log: Log): Promise<RedisLink> {
  const link = await openRedis(readRedisAddress(text) ?? expect.fail('no address'), async () => 'secret', log);
  onTestFinished(() => link.close());
  return link;
}

const withPassword = (wrong: string): string => `redis://:${wrong}@127.0.0.1:${server.port}`;

describe.skipIf(needsRedis !== '')(`a Redis that can not be used${needsRedis}`, () => {
  const cases: [string, () => Promise<string> | string, RegExp][] = [
    ['nothing listens', async () => `redis://:s3cret@127.0.0.1:${await freePort()}`, /nothing listens there/],
    ['the password is wrong', () => withPassword('s3cret'), /the password is wrong or missing/],
    ['there is no password', () => server.address, /the password is wrong or missing/],
    ['the user is unknown', () => `redis://ada:s3cret@127.0.0.1:${server.port}`, /the password is wrong or missing/],
    ['the database is none of it', () => `${address}/99`, /no database of that number/],
    ['it is no cluster', () => address.replace('redis:', 'redis+cluster:'), /it is no cluster/],
  ];
  it.each(cases)('is said once and never with the password, when %s', async (_, addressOf, reason) => {
    const { log, lines } = listen();
    const text = await addressOf();
    const link = await open(text, log);
    const error = (await link.check().catch((thrown: unknown) => thrown)) as Error;
    expect(error).toMatchObject({ code: 'unavailable', message: expect.stringMatching(reason) });
    await link.check().catch(() => {});
    expect(link.trouble()).toMatch(reason);
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ level: 40, reason: expect.stringMatching(reason) });
    const said = JSON.stringify([lines, error.message, error.stack, error.cause ?? null, link.place]);
    for (const secret of ['s3cret', password, encodeURIComponent(password)]) expect(said).not.toContain(secret);
  });

  it('is asked nothing and holds nobody up', async () => {
    const link = await open(withPassword('s3cret'), listen().log);
    await link.check().catch(() => {});
    const started = performance.now();
    for (let i = 0; i < 1_000; i++) expect(await link.ask((redis) => redis.getBuffer('x'))).toBeUndefined();
    link.announce();
    expect(performance.now() - started).toBeLessThan(1_000);
  });

  it('is of use once the secret of the database can be read, which is asked for until then', async () => {
    const { log, lines } = listen();
    let isDatabaseAway = true;
    const secretOf = async (): Promise<string> => {
      if (isDatabaseAway) throw Object.assign(new Error('away'), { code: 'database_unavailable' });
      return 'secret';
    };
    const link = await openRedis(readRedisAddress(address) ?? expect.fail('no address'), secretOf, log);
    onTestFinished(() => link.close());
    await expect(link.check()).rejects.toMatchObject({ message: expect.stringContaining('its key cannot be read') });
    isDatabaseAway = false;
    expect(await until(() => link.trouble() === undefined)).toBe(true);
    expect(lines.map((line) => JSON.parse(line).msg)).toEqual([
      expect.stringContaining('of no use'),
      expect.stringContaining('works again'),
    ]);
  });
});

describe.skipIf(needsRedis !== '')(`a user of Redis${needsRedis}`, () => {
  const rights = ['~toolweaver:*', '&toolweaver:*', '+get', '+set', '+del', '+ping', '+publish', '+subscribe'];
  const openAs = async (name: string, given: readonly string[]): Promise<RedisLink> => {
    await server.client().call('ACL', 'SETUSER', name, 'reset', 'on', '>s3cret', ...given);
    const link = await open(`redis://${name}:s3cret@127.0.0.1:${server.port}`, listen().log);
    link.onNews(() => {});
    return link;
  };

  it('needs only the rights that docs/configuration.md names', async () => {
    const link = await openAs('ada', rights);
    await link.check();
    const cache = createRedisCache(link);
    await cache.set('a:1', Buffer.from('one'), 60_000);
    expect(await textOf(cache, 'a:1')).toBe('one');
    await cache.delete('a:1');
    link.announce();
    await link.check();
    expect(link.trouble()).toBeUndefined();
  });

  it.each(['+set', '+publish', '+subscribe', '&toolweaver:*'])('that lacks %s is told so', async (missing) => {
    const link = await openAs(
      'bob',
      rights.filter((right) => right !== missing),
    );
    await expect(link.check()).rejects.toMatchObject({ message: expect.stringContaining('may not do what is needed') });
  });
});

describe.skipIf(needsRedis !== '')(`a server with REDIS_URL${needsRedis}`, () => {
  it('starts, saves and calls while there is no Redis, is ready, and says that it is degraded', async () => {
    const { log, lines } = listen();
    const redisUrl = `redis://:s3cret@127.0.0.1:${await freePort()}`;
    const app = await httpApp({ settings: { redisUrl }, log });
    expect(await app.save()).toMatchObject({ state: 'active' });
    expect(await app.use('double', { x: 4 })).toEqual({ y: 8 });
    expect(await until(() => app.redis?.trouble() !== undefined)).toBe(true);
    const ready = await app.send('/readyz');
    expect([ready.status, ready.json]).toEqual([200, { status: 'degraded', redis: 'unavailable' }]);
    expect((await app.send('/healthz')).json).toEqual({ status: 'ok' });
    expect(lines.filter((line) => line.includes('Redis'))).toHaveLength(1);
    expect(lines.join('')).not.toContain('s3cret');
  });

  it('is simply ready while Redis works', async () => {
    const app = await httpApp({ settings: { redisUrl: address } });
    await app.redis?.check();
    const ready = await app.send('/readyz');
    expect([ready.status, ready.json]).toEqual([200, { status: 'ok' }]);
  });

  it('counts the most used tools once for all processes on the database', async () => {
    const file = `${makeHome()}/toolweaver.db`;
    const settings = { redisUrl: address, expose: 'auto' };
    const one = await httpApp({ file, settings });
    await one.redis?.check();
    for (let i = 0; i < 41; i++) {
      await one.save({ name: `number_${i}`, description: `Gives the number ${i}.`, ...constant(i) });
    }
    await one.use('number_7', {});
    await one.sink.flush();
    expect(await one.listing.names('local')).toContain('number_7');
    await one.database.write((trx) => trx.deleteFrom('calls').execute());
    const two = await httpApp({ file, settings });
    await two.redis?.check();
    expect(await two.listing.names('local')).toContain('number_7');
    const alone = await httpApp({ file, settings: { expose: 'auto' } });
    expect(await alone.listing.names('local')).not.toContain('number_7');
  });
});

const constant = (i: number) => ({
  code: `export default function run() { return { y: ${i} }; }`,
  input_schema: { type: 'object', properties: {} },
  examples: [{ input: {}, output: { y: i } }],
});

describe.skipIf(needsRedis !== '').concurrent(`commands with REDIS_URL${needsRedis}`, () => {
  const doctor = async (redisUrl: string) => {
    const { code, stdout, stderr } = await runCli(['doctor', '--json'], {
      home: makeHome(),
      env: { REDIS_URL: redisUrl },
    });
    const parts: { part: string; state: string; detail: string; costs: string }[] = JSON.parse(stdout).parts;
    return { code, redis: parts.find(({ part }) => part === 'redis'), said: stdout + stderr };
  };

  it('doctor says how quickly it answers', async () => {
    const { code, redis } = await doctor(address);
    expect([code, redis?.state]).toEqual([0, 'ok']);
    expect(redis?.detail).toMatch(/^redis:\/\/127\.0\.0\.1:\d+\/0, answers in [\d.]+ ms$/);
  });

  it('doctor says why it is of no use and what that costs, but no password', async () => {
    const { code, redis, said } = await doctor(withPassword('s3cret'));
    expect([code, redis?.state]).toEqual([1, 'broken']);
    expect(redis?.detail).toContain('the password is wrong');
    expect(redis?.costs).not.toBe('');
    expect(said).not.toContain('s3cret');
  });

  it('doctor says that it is absent where none is set, which is no fault', async () => {
    const { stdout, code } = await runCli(['doctor'], { home: makeHome() });
    expect(stdout).toMatch(/^absent +redis +REDIS_URL is not set/m);
    expect(code).toBe(0);
  });

  it('config prints only that it is set; an address that cannot be used stops the start and is not repeated', async () => {
    const home = makeHome();
    const good = await runCli(['config', '--json'], { home, env: { REDIS_URL: withPassword('s3cret') } });
    expect(JSON.parse(good.stdout).settings).toContainEqual(
      expect.objectContaining({ name: 'redisUrl', value: '(set, not shown)', from: 'environment' }),
    );
    const bad = await runCli(['list'], { home, env: { REDIS_URL: 'redis://s3cret@127.0.0.1' } });
    expect([bad.code, bad.stdout]).toEqual([2, '']);
    expect(bad.stderr).toContain('REDIS_URL: must be redis://user:password@host');
    expect(good.stdout + good.stderr + bad.stderr).not.toContain('s3cret');
  });

  it('save works without Redis, and says so in one line', async () => {
    const [home, redisUrl] = [makeHome(), `redis://127.0.0.1:${await freePort()}`];
    const { code, stderr } = await runCli(['call', 'save_skill', JSON.stringify(draft()), '--json'], {
      home,
      env: { REDIS_URL: redisUrl },
    });
    expect(code).toBe(0);
    expect(stderr.match(/Redis is of no use/g)).toHaveLength(1);
  });
});
