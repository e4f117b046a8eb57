import { openBytes, sealBytes } from '../gcm.ts';
import { type Cache, maxTtlMs, steadyNow } from './cache.ts';
import type { RedisLink } from './redis.ts';

/** More at once would hold up Redis, and would not come in time. */
const maxBytes = 512_000;
const timeBytes = 8;

/** A value as Redis has it: what it is, the end of its time, and how long that was. */
interface Enclosed {
  value: Uint8Array;
  expiresAt: number;
  lastsMs: number;
}

/**
 * A cache in Redis, for all processes on one database. Values are encrypted and bound to their key and their time by a key
 * that stands in the database: Redis learns nothing of them, and what somebody else wrote there is no value.
 */
export function createRedisCache(link: Pick<RedisLink, 'ask'>, now: () => number = steadyNow): Cache {
  return {
    get: (name) =>
      link.ask(async (redis, { prefix, key }) => {
        const bytes = await redis.getBuffer(prefix + name);
        const enclosed = bytes ? open(bytes, prefix + name, key) : undefined;
        if (!enclosed || enclosed.expiresAt <= now()) return undefined;
        // The clock of whoever set it may be ahead.
        const { value, expiresAt, lastsMs } = enclosed;
        return { value, expiresAt: Math.min(expiresAt, now() + lastsMs) };
      }),
    async set(name, value, ttlMs) {
      if (value.byteLength > maxBytes || ttlMs < 1) return;
      const lastsMs = Math.floor(Math.min(ttlMs, maxTtlMs));
      await link.ask((redis, { prefix, key }) =>
        redis.set(
          prefix + name,
          close({ value, expiresAt: now() + lastsMs, lastsMs }, prefix + name, key),
          'PX',
          lastsMs,
        ),
      );
    },
    async delete(name) {
      await link.ask((redis, { prefix }) => redis.del(prefix + name));
    },
  };
}

function close({ value, expiresAt, lastsMs }: Enclosed, name: string, key: Buffer): Buffer {
  const times = Buffer.alloc(2 * timeBytes);
  times.writeDoubleBE(expiresAt);
  times.writeDoubleBE(lastsMs, timeBytes);
  return sealBytes(key, [times, value], name);
}

/** What `close` made for that name. Undefined where somebody else wrote it, or for another: the database has it. */
function open(bytes: Buffer, name: string, key: Buffer): Enclosed | undefined {
  const opened = openBytes(key, bytes, name);
  if (!opened || opened.length < 2 * timeBytes) return undefined;
  return {
    value: opened.subarray(2 * timeBytes),
    expiresAt: opened.readDoubleBE(),
    lastsMs: opened.readDoubleBE(timeBytes),
  };
}
