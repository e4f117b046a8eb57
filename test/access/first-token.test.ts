import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { firstToken } from '../../src/access/first-token.ts';
import { listTokens, principalOf, revokeToken } from '../../src/access/tokens.ts';
import { type Database, openDatabase } from '../../src/store/database.ts';
import { temporaryFolder } from '../helpers/app.ts';

const now = 1_700_000_000_000;

async function open(file = ':memory:'): Promise<Database> {
  const database = await openDatabase(file);
  onTestFinished(() => database.close());
  return database;
}

const tokenIn = (file: string): string => readFileSync(file, 'utf8').trim();
const modeOf = (file: string): number => statSync(file).mode & 0o777;

describe('the token of the first start', () => {
  it("is an agent's, in a file that only this user reads, and made once", async () => {
    const database = await open();
    const home = join(temporaryFolder(), 'home');
    const file = await firstToken(database, home, now);
    expect([file, modeOf(file), modeOf(home)]).toEqual([join(home, 'token'), 0o600, 0o700]);
    const token = tokenIn(file);
    expect(await principalOf(database, token, now)).toMatchObject({
      id: 'agent:local',
      kind: 'agent',
      roles: ['author'],
    });
    await firstToken(database, home, now);
    expect(tokenIn(file)).toBe(token);
    expect(await listTokens(database, 'local')).toHaveLength(1);
    expect(readdirSync(home)).toEqual(['token']);
  });

  it('is one and the same for servers that start at once', async () => {
    const folder = temporaryFolder();
    const databases = await Promise.all([1, 2, 3, 4].map(() => open(join(folder, 'library.db'))));
    const files = await Promise.all(databases.map((database) => firstToken(database, folder, now)));
    expect(new Set(files).size).toBe(1);
    const token = tokenIn(files[0] ?? '');
    for (const database of databases) expect(await principalOf(database, token, now)).toMatchObject({ kind: 'agent' });
    const valid = (await listTokens(databases[0] as Database, 'local')).filter((info) => info.revokedAt === undefined);
    expect(valid).toHaveLength(1);
    expect(readdirSync(folder).filter((name) => name.startsWith('token'))).toEqual(['token']);
  });

  it('stays revoked when it was revoked', async () => {
    const database = await open();
    const home = temporaryFolder();
    const file = await firstToken(database, home, now);
    const token = tokenIn(file);
    const [info] = await listTokens(database, 'local');
    await revokeToken(database, 'local', info?.id ?? '', now);
    await firstToken(database, home, now);
    expect(tokenIn(file)).toBe(token);
    expect(await principalOf(database, token, now)).toBe('revoked');
    expect(await listTokens(database, 'local')).toHaveLength(1);
  });

  it('is made anew for another database, and then private again', async () => {
    const home = temporaryFolder();
    const file = await firstToken(await open(), home, now);
    const old = tokenIn(file);
    chmodSync(file, 0o644);
    const other = await open();
    await firstToken(other, home, now);
    expect(tokenIn(file)).not.toBe(old);
    expect(modeOf(file)).toBe(0o600);
    expect(await principalOf(other, tokenIn(file), now)).toMatchObject({ id: 'agent:local' });
  });

  it('is made private again where somebody opened its file', async () => {
    const database = await open();
    const home = temporaryFolder();
    const file = await firstToken(database, home, now);
    chmodSync(file, 0o644);
    await firstToken(database, home, now);
    expect(modeOf(file)).toBe(0o600);
  });

  it('is not made where it cannot be kept, which is said in words', async () => {
    const database = await open();
    const home = temporaryFolder();
    mkdirSync(join(home, 'token'));
    await expect(firstToken(database, home, now)).rejects.toMatchObject({
      code: 'not_supported',
      message: expect.stringContaining(join(home, 'token')),
      hint: expect.stringContaining('TOOLWEAVER_HOME'),
    });
    const file = join(home, 'file');
    writeFileSync(file, '');
    await expect(firstToken(database, file, now)).rejects.toMatchObject({ code: 'not_supported' });
    expect(await listTokens(database, 'local')).toEqual([]);
    expect(existsSync(join(file, 'token'))).toBe(false);
  });
});
