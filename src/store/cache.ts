/** A value with the end of its time, in milliseconds since 1970. */
export interface Kept {
  value: Uint8Array;
  expiresAt: number;
}

/**
 * Keeps bytes for a while that can be had again from the database, only slower. May forget at any time; never gives what
 * is past its time, what was not set under that key, or an error. A key begins with its tenant and names a content by its
 * hash, or a time so short that it does not matter: other processes may keep what one has deleted.
 */
export interface Cache {
  get(key: string): Promise<Kept | undefined>;
  /** Keeps a copy for `ttlMs`, 7 days at most. What is too large is not kept. */
  set(key: string, value: Uint8Array, ttlMs: number): Promise<void>;
  delete(key: string): Promise<void>;
}

/** The time of day when this process began, and what has passed since: a clock that is set anew does not move it. */
export const steadyNow = (): number => Math.round(performance.timeOrigin + performance.now());

/** The longest time for which anything is kept. */
export const maxTtlMs = 7 * 86_400_000;

/** A key of these parts, which no other parts have. */
export const cacheKey = (tenant: string, ...parts: string[]): string =>
  [tenant, ...parts].map((part) => part.replaceAll(/[%:]/g, encodeURIComponent)).join(':');

/** The JSON value under a key. */
export async function getJson(cache: Cache, key: string): Promise<unknown> {
  const kept = await cache.get(key);
  return kept && JSON.parse(Buffer.from(kept.value).toString('utf8'));
}

/** Keeps a JSON value. */
export const setJson = (cache: Cache, key: string, value: unknown, ttlMs: number): Promise<void> =>
  cache.set(key, Buffer.from(JSON.stringify(value)), ttlMs);
