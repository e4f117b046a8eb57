import { LRUCache } from 'lru-cache';
import { type Cache, type Kept, maxTtlMs, steadyNow } from './cache.ts';

/** Of each entry beside its value, roughly. */
const overheadBytes = 200;

/** A cache in this process that takes at most so much memory; what was not used for longest goes first. */
export function createMemoryCache(maxBytes: number, now: () => number = steadyNow): Cache {
  const entries = new LRUCache<string, Kept>({
    maxSize: maxBytes,
    sizeCalculation: ({ value }, key) => value.byteLength + 2 * key.length + overheadBytes,
  });
  return {
    async get(key) {
      const kept = entries.get(key);
      if (!kept) return undefined;
      if (kept.expiresAt > now()) return { ...kept, value: Uint8Array.from(kept.value) };
      entries.delete(key);
      return undefined;
    },
    async set(key, value, ttlMs) {
      const expiresAt = now() + Math.min(ttlMs, maxTtlMs);
      entries.set(key, { value: Uint8Array.from(value), expiresAt });
    },
    async delete(key) {
      entries.delete(key);
    },
  };
}
