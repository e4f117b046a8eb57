import { WeaverError } from '../errors.ts';
import { sha256 } from '../json.ts';
import { type Cache, cacheKey, maxTtlMs } from './cache.ts';
import type { Db } from './tables.ts';

/** Keeps a text under its sha256, which is returned; the same text is kept once, and healed where it was altered. */
export async function putBlob(trx: Db, tenant: string, text: string): Promise<string> {
  const hash = sha256(text);
  await trx
    .insertInto('blobs')
    .values({ tenant, hash, bytes: Buffer.from(text, 'utf8') })
    .onConflict((conflict) =>
      conflict.columns(['tenant', 'hash']).doUpdateSet({ bytes: (eb) => eb.ref('excluded.bytes') }),
    )
    .execute();
  return hash;
}

/**
 * The text kept under a hash, checked against it.
 * @throws WeaverError `seal_broken` when it is missing or a byte of it differs.
 */
export async function getBlob(db: Db, tenant: string, hash: string): Promise<string> {
  const row = await db
    .selectFrom('blobs')
    .select('bytes')
    .where('tenant', '=', tenant)
    .where('hash', '=', hash)
    .executeTakeFirst();
  if (row && sha256(row.bytes) === hash) return Buffer.from(row.bytes).toString('utf8');
  throw new WeaverError(
    'seal_broken',
    `Stored content ${hash.slice(0, 12)} ${row ? 'was altered' : 'is missing'}; it was not used.`,
    {
      hint: 'Restore the database from a backup, or save the skill again and have it reviewed.',
    },
  );
}

/**
 * The text kept under a hash, from the cache where that has it. Checked against the hash wherever it comes from, so that
 * who can write to the cache can change nothing.
 * @throws WeaverError `seal_broken` as `getBlob` does.
 */
export async function readBlob({ db, cache }: { db: Db; cache: Cache }, tenant: string, hash: string): Promise<string> {
  const key = cacheKey(tenant, 'blob', hash);
  const kept = await cache.get(key);
  if (kept && sha256(kept.value) === hash) return Buffer.from(kept.value).toString('utf8');
  if (kept) await cache.delete(key);
  const text = await getBlob(db, tenant, hash);
  // Nobody waits for it: it never fails, and without it the next one reads the database too.
  void cache.set(key, Buffer.from(text, 'utf8'), maxTtlMs);
  return text;
}
