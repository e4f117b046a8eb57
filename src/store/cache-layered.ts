import { type Cache, steadyNow } from './cache.ts';

/** A cache before another: what the far one has is kept in the near one for what is left of its time. */
export function createLayeredCache(near: Cache, far: Cache, now: () => number = steadyNow): Cache {
  return {
    async get(key) {
      const kept = await near.get(key);
      if (kept) return kept;
      const found = await far.get(key);
      if (found) await near.set(key, found.value, found.expiresAt - now());
      return found;
    },
    async set(key, value, ttlMs) {
      await Promise.all([near.set(key, value, ttlMs), far.set(key, value, ttlMs)]);
    },
    async delete(key) {
      await Promise.all([near.delete(key), far.delete(key)]);
    },
  };
}
