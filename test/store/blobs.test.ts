import { describe, expect, it, onTestFinished } from 'vitest';
import { sha256 } from '../../src/json.ts';
import { putBlob, readBlob } from '../../src/store/blobs.ts';
import { cacheKey } from '../../src/store/cache.ts';
import { createMemoryCache } from '../../src/store/cache-memory.ts';
import { openDatabase } from '../../src/store/database.ts';
import { textOf } from '../suites/cache.ts';

const text = 'export default () => "reviewed"';
const key = cacheKey('local', 'blob', sha256(text));

/** A database that keeps the text, and a cache. */
async function places() {
  const database = await openDatabase(':memory:');
  onTestFinished(() => database.close());
  await database.write((trx) => putBlob(trx, 'local', text));
  const cache = createMemoryCache(1_000_000);
  const read = (hash: string, tenant = 'local') => readBlob({ db: database.read, cache }, tenant, hash);
  return { database, cache, read };
}

describe('a text read through a cache', () => {
  it('is kept there, and had from there the next time', async () => {
    const { database, cache, read } = await places();
    expect(await read(sha256(text))).toBe(text);
    expect(await textOf(cache, key)).toBe(text);
    await database.write((trx) => trx.deleteFrom('blobs').execute());
    expect(await read(sha256(text))).toBe(text);
  });

  it('is never what somebody else put there: the database has it, and the forgery goes', async () => {
    const { cache, read } = await places();
    await cache.set(key, Buffer.from('export default () => "forged"'), 60_000);
    expect(await read(sha256(text))).toBe(text);
    expect(await textOf(cache, key)).toBe(text);
  });

  it('is not had from the cache of another tenant', async () => {
    const { read } = await places();
    await read(sha256(text));
    await expect(read(sha256(text), 'other')).rejects.toMatchObject({ code: 'seal_broken' });
  });

  it('is not kept when it is not what was reviewed', async () => {
    const { database, cache, read } = await places();
    await database.write((trx) =>
      trx
        .updateTable('blobs')
        .set({ bytes: Buffer.from('altered') })
        .execute(),
    );
    await expect(read(sha256(text))).rejects.toMatchObject({ code: 'seal_broken' });
    expect(await cache.get(key)).toBeUndefined();
  });
});
