import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { type Cache, type Kept, maxTtlMs } from './cache.ts';
import type { RedisLink } from './redis.ts';

/** More at once would hold up Redis, and would not come in time. */
const maxBytes = 512_000;
const cipher = 'aes-256-gcm';
const [nonceBytes, tagBytes, timeBytes] = [12, 16, 8];

/**
 * A cache in Redis, for all processes on one database. Values are encrypted and bound to their key and their time by a key
 * that stands in the database: Redis learns nothing of them, and what somebody else wrote there is no value.
 */
export function createRedisCache(link: Pick<RedisLink, 'ask'>, now: () => number = Date.now): Cache {
  return {
    get: (name) =>
      link.ask(async (redis, { prefix, key }) => {
        const bytes = await redis.getBuffer(prefix + name);
        const kept = bytes ? open(bytes, prefix + name, key) : undefined;
        return kept && kept.expiresAt > now() ? kept : undefined;
      }),
    async set(name, value, ttlMs) {
      if (value.byteLength > maxBytes || ttlMs < 1) return;
      const lastsMs = Math.floor(Math.min(ttlMs, maxTtlMs));
      await link.ask((redis, { prefix, key }) =>
        redis.set(prefix + name, close({ value, expiresAt: now() + lastsMs }, prefix + name, key), 'PX', lastsMs),
      );
    },
    async delete(name) {
      await link.ask((redis, { prefix }) => redis.del(prefix + name));
    },
  };
}

function close({ value, expiresAt }: Kept, name: string, key: Buffer): Buffer {
  const nonce = randomBytes(nonceBytes);
  const time = Buffer.alloc(timeBytes);
  time.writeDoubleBE(expiresAt);
  const closing = createCipheriv(cipher, key, nonce).setAAD(Buffer.from(name));
  const closed = [closing.update(time), closing.update(value), closing.final()];
  return Buffer.concat([nonce, closing.getAuthTag(), ...closed]);
}

/** What `close` made for that name; undefined for anything else. */
function open(bytes: Buffer, name: string, key: Buffer): Kept | undefined {
  if (bytes.length < nonceBytes + tagBytes + timeBytes) return undefined;
  const opening = createDecipheriv(cipher, key, bytes.subarray(0, nonceBytes))
    .setAAD(Buffer.from(name))
    .setAuthTag(bytes.subarray(nonceBytes, nonceBytes + tagBytes));
  try {
    const opened = Buffer.concat([opening.update(bytes.subarray(nonceBytes + tagBytes)), opening.final()]);
    return { expiresAt: opened.readDoubleBE(), value: opened.subarray(timeBytes) };
  } catch {
    return undefined; // Somebody else wrote it, or for another key: nothing is lost, the database has it.
  }
}
