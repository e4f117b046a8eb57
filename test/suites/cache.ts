import { describe, expect, it } from 'vitest';
import { type Cache, cacheKey, getJson, maxTtlMs, setJson } from '../../src/store/cache.ts';

/** A clock that only a test moves. */
export interface Clock {
  now(): number;
  pass(ms: number): void;
}

export function createClock(): Clock {
  let at = Date.UTC(2026, 10, 24);
  return {
    now: () => at,
    pass: (ms) => {
      at += ms;
    },
  };
}

interface CacheUnderTest {
  name: string;
  /** Why it is skipped, or nothing. */
  missing?: string;
  /** An empty one. */
  make(clock: Clock): Promise<Cache>;
}

const bytes = (text: string): Uint8Array => Buffer.from(text);
/** The text under a key, where there is one. */
export const textOf = async (cache: Cache, key: string): Promise<string | undefined> => {
  const kept = await cache.get(key);
  return kept && Buffer.from(kept.value).toString();
};

/** What every cache owes, whatever is behind it. */
export function cacheSuite({ name, missing = '', make }: CacheUnderTest): void {
  describe.skipIf(missing !== '')(`a cache in ${name}${missing}`, () => {
    it('gives what was set last under a key, and nothing under another', async () => {
      const cache = await make(createClock());
      expect(await cache.get('a:1')).toBeUndefined();
      await cache.set('a:1', bytes('one'), 60_000);
      await cache.set('a:1', bytes('two'), 60_000);
      expect(await textOf(cache, 'a:1')).toBe('two');
      expect(await cache.get('a:2')).toBeUndefined();
      expect(await cache.get('b:1')).toBeUndefined();
    });

    it('keeps any bytes and any JSON as they are', async () => {
      const cache = await make(createClock());
      const all = Uint8Array.from({ length: 256 }, (_, i) => i);
      for (const value of [all, bytes(''), Buffer.alloc(100_000, 7)]) {
        await cache.set('a:bytes', value, 60_000);
        expect(Buffer.from((await cache.get('a:bytes'))?.value ?? bytes('none')).equals(value)).toBe(true);
      }
      const json = { list: [1, null, 'ä\0 '], deep: { ok: true } };
      await setJson(cache, 'a:json', json, 60_000);
      expect(await getJson(cache, 'a:json')).toEqual(json);
      expect(await getJson(cache, 'a:no-json')).toBeUndefined();
    });

    it('keeps a copy: what is done to a value before or after changes nothing', async () => {
      const cache = await make(createClock());
      const given = Buffer.from('one');
      await cache.set('a:1', given, 60_000);
      given.fill('x');
      (await cache.get('a:1'))?.value.fill(120);
      expect(await textOf(cache, 'a:1')).toBe('one');
    });

    it('forgets what is deleted; what is not there can be deleted too', async () => {
      const cache = await make(createClock());
      await cache.set('a:1', bytes('one'), 60_000);
      await cache.delete('a:1');
      await cache.delete('a:1');
      expect(await cache.get('a:1')).toBeUndefined();
    });

    it('never gives what is past its time, and says when that is', async () => {
      const clock = createClock();
      const cache = await make(clock);
      await cache.set('a:1', bytes('one'), 60_000);
      expect((await cache.get('a:1'))?.expiresAt).toBe(clock.now() + 60_000);
      clock.pass(59_999);
      expect(await textOf(cache, 'a:1')).toBe('one');
      clock.pass(1);
      expect(await cache.get('a:1')).toBeUndefined();
    });

    it('keeps nothing for longer than seven days, and nothing whose time is over at once', async () => {
      const clock = createClock();
      const cache = await make(clock);
      await cache.set('a:1', bytes('one'), 365 * maxTtlMs);
      await cache.set('a:2', bytes('two'), 0);
      expect((await cache.get('a:1'))?.expiresAt).toBe(clock.now() + 7 * 86_400_000);
      expect(await cache.get('a:2')).toBeUndefined();
    });

    it('does not keep what is too large, whatever was there before', async () => {
      const cache = await make(createClock());
      await cache.set('a:1', bytes('one'), 60_000);
      await cache.set('a:1', Buffer.alloc(2_000_000), 60_000);
      expect((await cache.get('a:1'))?.value.byteLength).not.toBe(2_000_000);
      await cache.set('a:1', bytes('two'), 60_000);
      expect(await textOf(cache, 'a:1')).toBe('two');
    });

    it('takes any text as a key, and tells keys apart by their parts', async () => {
      const cache = await make(createClock());
      const keys = [
        ['a', 'b:c'],
        ['a:b', 'c'],
        ['a%3Ab', 'c'],
        ['a\n', '*'],
        ['a', 'ä'.repeat(2_000)],
      ].map(([tenant = '', part = '']) => cacheKey(tenant, part));
      for (const key of keys) await cache.set(key, bytes(key), 60_000);
      for (const key of keys) expect(await textOf(cache, key)).toBe(key);
    });

    it('serves many at once', async () => {
      const cache = await make(createClock());
      const keys = Array.from({ length: 200 }, (_, i) => cacheKey('a', String(i)));
      await Promise.all(keys.map((key) => cache.set(key, bytes(key), 60_000)));
      expect(await Promise.all(keys.map((key) => textOf(cache, key)))).toEqual(keys);
    });
  });
}
