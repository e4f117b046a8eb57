import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { signingKey } from '../../src/access/keys.ts';
import { openDatabase } from '../../src/store/database.ts';
import { temporaryFolder } from '../helpers/app.ts';

describe('a signing key', () => {
  it('is made once, and the same for every process that asks at once', async () => {
    const file = join(temporaryFolder(), 'library.db');
    const databases = await Promise.all([1, 2, 3].map(() => openDatabase(file)));
    onTestFinished(async () => {
      for (const database of databases) await database.close();
    });
    const keys = await Promise.all(databases.map((database) => signingKey(database, 'local', 'request-state')));
    expect(new Set(keys).size).toBe(1);
    expect(keys[0]).toMatch(/^[0-9a-f]{64}$/);
  });

  it('is another one for another name and another tenant', async () => {
    const database = await openDatabase(':memory:');
    onTestFinished(() => database.close());
    const keys = await Promise.all(
      [
        ['local', 'a'],
        ['local', 'b'],
        ['other', 'a'],
      ].map(([tenant = '', name = '']) => signingKey(database, tenant, name)),
    );
    expect(new Set(keys).size).toBe(3);
    expect(await signingKey(database, 'local', 'a')).toBe(keys[0]);
  });
});
