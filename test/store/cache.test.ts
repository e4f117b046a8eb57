import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { silentLog } from '../../src/log.ts';
import { readRedisAddress } from '../../src/redis-address.ts';
import type { Cache } from '../../src/store/cache.ts';
import { createLayeredCache } from '../../src/store/cache-layered.ts';
import { createMemoryCache } from '../../src/store/cache-memory.ts';
import { createRedisCache } from '../../src/store/cache-redis.ts';
import { openRedis, type RedisLink } from '../../src/store/redis.ts';
import { needsRedis, type RedisServer, startRedis } from '../helpers/redis.ts';
import { cacheSuite, createClock, textOf } from '../suites/cache.ts';

const megabyte = 1_000_000;
let server: RedisServer;

beforeAll(async () => {
  if (needsRedis === '') server = await startRedis();
});
afterAll(() => server?.close());

/** A link to the server, as the processes on one database have it. */
async function link(secret = randomBytes(32).toString('hex')): Promise<RedisLink> {
  const address = readRedisAddress(server.address);
  if (!address) throw new Error('no address');
  const opened = await openRedis(address, async () => secret, silentLog);
  onTestFinished(() => opened.close());
  await opened.check();
  return opened;
}

const bytes = (text: string): Uint8Array => Buffer.from(text);

cacheSuite({ name: 'memory', make: async ({ now }) => createMemoryCache(megabyte, now) });
cacheSuite({ name: 'Redis', missing: needsRedis, make: async ({ now }) => createRedisCache(await link(), now) });
cacheSuite({
  name: 'memory before Redis',
  missing: needsRedis,
  make: async ({ now }) =>
    createLayeredCache(createMemoryCache(megabyte, now), createRedisCache(await link(), now), now),
});

describe('a cache in memory', () => {
  it('takes no more than it may, and forgets first what was not used for longest', async () => {
    const cache = createMemoryCache(megabyte);
    for (let i = 0; i < 100; i++) {
      await cache.set(`a:${i}`, Buffer.alloc(50_000), 60_000);
      await cache.get('a:0');
    }
    const kept = await Promise.all(Array.from({ length: 100 }, (_, i) => cache.get(`a:${i}`)));
    const places = kept.flatMap((one, i) => (one ? [i] : []));
    expect(places[0]).toBe(0);
    expect(places.slice(1)).toEqual(Array.from({ length: places.length - 1 }, (_, i) => 101 - places.length + i));
    expect(places.length * 50_000).toBeLessThanOrEqual(megabyte);
    expect(places.length).toBeGreaterThan(15);
  });

  it('counts keys too: a million empty values do not fill the memory', async () => {
    const cache = createMemoryCache(10_000);
    for (let i = 0; i < 1_000; i++) await cache.set(`a:${i}`, bytes(''), 60_000);
    const kept = await Promise.all(Array.from({ length: 1_000 }, (_, i) => cache.get(`a:${i}`)));
    expect(kept.filter(Boolean).length).toBeLessThan(50);
  });
});

describe.skipIf(needsRedis !== '')(`a cache in Redis${needsRedis}`, () => {
  it('is shared by all who have the secret of the database, and by nobody else', async () => {
    const [mine, other] = [await link('one secret'), await link('one secret')];
    const stranger = await link('another');
    await createRedisCache(mine).set('a:1', bytes('one'), 60_000);
    expect(await textOf(createRedisCache(other), 'a:1')).toBe('one');
    expect(await createRedisCache(stranger).get('a:1')).toBeUndefined();
  });

  it('tells Redis nothing of the values, and has a time there for each', async () => {
    const cache = createRedisCache(await link());
    const raw = server.client();
    await raw.flushall();
    await cache.set('a:1', bytes('export default () => "in the clear"'), 60_000);
    const key = (await raw.keys('toolweaver:*:a:1'))[0] ?? '';
    expect((await raw.getBuffer(key))?.includes('clear')).toBe(false);
    expect(await raw.pttl(key)).toBeGreaterThan(0);
    expect(await raw.pttl(key)).toBeLessThanOrEqual(60_000);
  });

  const forgeries: [string, (sealed: Buffer, other: Buffer) => Buffer][] = [
    ['with another text', () => Buffer.from('export default () => "forged"')],
    ['with nothing', () => Buffer.alloc(0)],
    [
      'with a byte changed',
      (sealed) => Buffer.from(sealed.map((byte, i) => (i === sealed.length - 1 ? byte ^ 1 : byte))),
    ],
    ['with its nonce changed', (sealed) => Buffer.from(sealed.map((byte, i) => (i === 0 ? byte ^ 1 : byte)))],
    ['cut short', (sealed) => sealed.subarray(0, sealed.length - 1)],
    ['with the value of another key', (_, other) => other],
  ];
  it.each(forgeries)('takes for no value what somebody wrote there %s', async (_, forge) => {
    const cache = createRedisCache(await link());
    const raw = server.client();
    await raw.flushall();
    for (const key of ['a:1', 'a:2']) await cache.set(key, bytes(`value of ${key}`), 60_000);
    const [one = '', two = ''] = (await raw.keys('toolweaver:*:a:*')).sort();
    const [sealed, other] = [await raw.getBuffer(one), await raw.getBuffer(two)];
    await raw.set(one, forge(sealed as Buffer, other as Buffer));
    expect(await cache.get('a:1')).toBeUndefined();
    expect(await textOf(cache, 'a:2')).toBe('value of a:2');
  });

  it('is not made to keep a value for longer by whoever takes its time away there', async () => {
    const clock = createClock();
    const cache = createRedisCache(await link(), clock.now);
    const raw = server.client();
    await raw.flushall();
    await cache.set('a:1', bytes('one'), 60_000);
    await raw.persist((await raw.keys('toolweaver:*:a:1'))[0] ?? '');
    clock.pass(60_000);
    expect(await cache.get('a:1')).toBeUndefined();
  });

  it('lasts no longer for a reader whose clock is behind, however far', async () => {
    const [ahead, behind] = [createClock(), createClock()];
    ahead.pass(86_400_000);
    const [one, two] = [await link('one secret'), await link('one secret')];
    await createRedisCache(one, ahead.now).set('a:late', bytes('one'), 60_000);
    expect((await createRedisCache(two, behind.now).get('a:late'))?.expiresAt).toBe(behind.now() + 60_000);
  });

  it('is empty, not broken, after somebody flushed it or put a list in the place of a value', async () => {
    const redis = await link();
    const cache = createRedisCache(redis);
    const raw = server.client();
    await cache.set('a:1', bytes('one'), 60_000);
    await raw.flushall();
    expect(await cache.get('a:1')).toBeUndefined();
    await cache.set('a:1', bytes('two'), 60_000);
    expect(await textOf(cache, 'a:1')).toBe('two');
    expect(redis.trouble()).toBeUndefined();
    const key = (await raw.keys('toolweaver:*:a:1'))[0] ?? '';
    await raw.del(key);
    await raw.lpush(key, 'x');
    expect(await cache.get('a:1')).toBeUndefined();
    expect(redis.trouble()).toBeUndefined();
  });
});

/** A cache that counts what it is asked. */
function counting(cache: Cache): Cache & { gets: number } {
  return {
    ...cache,
    gets: 0,
    get(key) {
      this.gets++;
      return cache.get(key);
    },
  };
}

describe('a cache before another', () => {
  it('asks the far one once, and keeps what it has only for what is left of its time', async () => {
    const clock = createClock();
    const far = counting(createMemoryCache(megabyte, clock.now));
    await far.set('a:1', bytes('one'), 60_000);
    clock.pass(50_000);
    const cache = createLayeredCache(createMemoryCache(megabyte, clock.now), far, clock.now);
    for (let i = 0; i < 3; i++) expect(await textOf(cache, 'a:1')).toBe('one');
    expect(far.gets).toBe(1);
    clock.pass(10_000);
    expect(await cache.get('a:1')).toBeUndefined();
  });
});
