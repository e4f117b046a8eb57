import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { createPrincipal } from '../../src/access/principals.ts';
import { decrypt, deriveKey, encrypt, parseKey } from '../../src/secrets/cipher.ts';
import { createKeyring, type Keyring } from '../../src/secrets/keyring.ts';
import { rotateSecrets } from '../../src/secrets/rotate.ts';
import { listSecrets, openSecret, removeSecret, type SecretDraft, setSecret } from '../../src/secrets/table.ts';
import { type Database, openDatabase } from '../../src/store/database.ts';
import { person, temporaryFolder } from '../helpers/app.ts';
import { needsPostgres, type PostgresServer, startPostgres } from '../helpers/postgres.ts';

const now = 1_700_000_000_000;
const hosts = ['api.example.com'];
const value = 'correct horse battery staple';
const hex = (): string => randomBytes(32).toString('hex');

async function open(address = ':memory:'): Promise<Database> {
  const database = await openDatabase(address);
  onTestFinished(() => database.close());
  return database;
}

/** A safe of its own: a database, a home, and short words for what is done there. */
async function openSafe(address?: string, home = temporaryFolder()) {
  const database = await open(address);
  const ring = createKeyring({ home });
  return {
    ...{ database, home, ring, file: join(home, 'secrets.key') },
    set: (name: string, more: Partial<SecretDraft> = {}, by = person, keys: Keyring = ring) =>
      setSecret(database, keys, by, { name, value, hosts, ...more }, now),
    reveal: async (name: string, keys: Keyring = ring) => (await openSecret(database, keys, 'local', name)).value,
    rows: () => database.read.selectFrom('secrets').selectAll().orderBy('name').execute(),
    lines: () =>
      readFileSync(join(home, 'secrets.key'), 'utf8')
        .split('\n')
        .filter((line) => /^[0-9a-f]{64}$/.test(line)),
  };
}

const unreadable = expect.objectContaining({ code: 'secret_unreadable', hint: expect.any(String) });

describe('a secret', () => {
  it('is kept, opened, listed without its value, given another value and removed', async () => {
    const { database, ring, set, reveal } = await openSafe();
    const info = await set('TOKEN', {
      hosts: ['b.example.com:8443', 'api.example.com', 'api.example.com'],
      header: 'X-Api-Key',
    });
    expect(info).toEqual({
      name: 'TOKEN',
      hosts: ['api.example.com', 'b.example.com:8443'],
      header: 'x-api-key',
      setAt: now,
      setBy: person.id,
    });
    expect(await openSecret(database, ring, 'local', 'TOKEN')).toEqual({ ...info, value });
    expect(await listSecrets(database, 'local')).toEqual([info]);
    const again = await setSecret(database, ring, person, { name: 'TOKEN', value: 'another value' }, now + 1);
    expect(again).toEqual({ ...info, setAt: now + 1 });
    expect(await reveal('TOKEN')).toBe('another value');
    expect(await removeSecret(database, 'local', 'TOKEN')).toEqual(again);
    expect(await listSecrets(database, 'local')).toEqual([]);
    for (const gone of [() => reveal('TOKEN'), () => removeSecret(database, 'local', 'TOKEN')]) {
      await expect(gone()).rejects.toMatchObject({ code: 'not_found', message: 'There is no secret "TOKEN".' });
    }
  });

  it('goes in authorization unless another header is named', async () => {
    const { set } = await openSafe();
    expect(await set('TOKEN')).toMatchObject({ header: 'authorization' });
  });

  it('stands nowhere in the database as it is, and each time otherwise', async () => {
    const { set, rows } = await openSafe();
    await set('A');
    await set('B');
    const [a, b] = await rows();
    const text = JSON.stringify([a, b]);
    for (const written of [
      value,
      Buffer.from(value).toString('base64').slice(0, 20),
      Buffer.from(value).toString('hex'),
    ]) {
      expect(text).not.toContain(written);
    }
    expect(a?.sealed).not.toBe(b?.sealed);
    expect(a?.sealed.slice(0, 16)).not.toBe(b?.sealed.slice(0, 16));
  });

  it.each([
    ['hosts', '["evil.com"]'],
    ['header', 'x-other'],
    ['name', 'OTHER'],
    ['tenant', 'other'],
  ])('does not open once its %s was changed in the database', async (column, to) => {
    const { database, ring, set } = await openSafe();
    await set('TOKEN');
    await database.write((trx) =>
      trx
        .updateTable('secrets')
        .set({ [column]: to })
        .execute(),
    );
    const opened = openSecret(database, ring, column === 'tenant' ? to : 'local', column === 'name' ? to : 'TOKEN');
    await expect(opened).rejects.toMatchObject({
      code: 'secret_unreadable',
      message: expect.stringContaining('was changed'),
    });
  });

  it('does not open with a byte that differs, or cut short', async () => {
    const { database, set, rows, reveal } = await openSafe();
    await set('TOKEN');
    const whole = Buffer.from((await rows())[0]?.sealed ?? '', 'base64');
    for (let at = 0; at < whole.length; at += 5) {
      const bad = Buffer.from(whole);
      bad[at] = (bad[at] ?? 0) ^ 1;
      await database.write((trx) =>
        trx
          .updateTable('secrets')
          .set({ sealed: bad.toString('base64') })
          .execute(),
      );
      await expect(reveal('TOKEN')).rejects.toEqual(unreadable);
    }
    for (const length of [0, 12, 27, whole.length - 1]) {
      await database.write((trx) =>
        trx
          .updateTable('secrets')
          .set({ sealed: whole.subarray(0, length).toString('base64') })
          .execute(),
      );
      await expect(reveal('TOKEN')).rejects.toEqual(unreadable);
    }
  });

  it.each<[Partial<SecretDraft>, RegExp]>([
    [{ name: '' }, /no name for a secret/],
    [{ name: 'a b' }, /no name for a secret/],
    [{ name: 'token' }, /no name for a secret/],
    [{ name: '1TOKEN' }, /no name for a secret/],
    [{ name: 'X}}{{secret:Y' }, /no name for a secret/],
    [{ name: 'A'.repeat(65) }, /no name for a secret/],
    [{ value: '' }, /has 0 characters/],
    [{ value: '1234567' }, /has 7 characters/],
    [{ value: 'a'.repeat(8_001) }, /more than 8000/],
    [{ value: 'two\nlines of it' }, /line break/],
    [{ value: 'null\0null' }, /line break/],
    [{ value: 'größeres' }, /outside of ASCII/],
    [{ value: ' with blanks ' }, /blank at an end/],
    [{ hosts: [] }, /goes nowhere without a host/],
    [{ hosts: ['*'] }, /no single host/],
    [{ hosts: ['*.example.com'] }, /no single host/],
    [{ hosts: ['https://api.example.com'] }, /no host/],
    [{ hosts: ['api.example.com/path'] }, /no host/],
    [{ hosts: ['api.example.com:443'] }, /is written api\.example\.com\./],
    [{ hosts: ['API.example.com'] }, /is written/],
    [{ hosts: ['me@api.example.com'] }, /no host/],
    [{ hosts: ['api.example.com', ''] }, /no host/],
    [{ header: 'host' }, /header "host" is set by ToolWeaver itself/],
    [{ header: 'a\r\nb' }, /name that no header can have/],
    [{ header: '' }, /name that no header can have/],
  ])('is not kept as %j', async (draft, message) => {
    const { set, rows, file } = await openSafe();
    const error = await set(draft.name ?? 'TOKEN', draft).catch((thrown) => thrown);
    expect(error).toMatchObject({
      code: 'bad_input',
      message: expect.stringMatching(message),
      hint: expect.any(String),
    });
    if (draft.value) expect(JSON.stringify(error)).not.toContain(draft.value);
    expect([await rows(), existsSync(file)]).toEqual([[], false]);
  });
});

describe('the key', () => {
  it('is made with the first secret, in a file that only this user reads', async () => {
    const home = join(temporaryFolder(), 'home');
    const { set, file, lines, reveal } = await openSafe(':memory:', home);
    await expect(reveal('TOKEN')).rejects.toMatchObject({ code: 'not_found' });
    expect(existsSync(file)).toBe(false);
    await set('TOKEN');
    expect([statSync(file).mode & 0o777, statSync(home).mode & 0o777]).toEqual([0o600, 0o700]);
    expect([lines().length, readdirSync(home)]).toEqual([1, ['secrets.key']]);
    await set('OTHER');
    expect(lines()).toHaveLength(1);
  });

  it('is one and the same for processes that begin at once', async () => {
    const home = temporaryFolder();
    const rings = Array.from({ length: 8 }, () => createKeyring({ home }));
    const keys = await Promise.all(rings.map((ring) => ring.ensure()));
    expect(new Set(keys.map(([{ id }]) => id)).size).toBe(1);
    expect(readdirSync(home)).toEqual(['secrets.key']);
  });

  it('of another home opens nothing, and is not mixed in', async () => {
    const { database, set, home } = await openSafe();
    await set('TOKEN');
    await set('OTHER');
    const stranger = createKeyring({ home: temporaryFolder() });
    await expect(openSecret(database, stranger, 'local', 'TOKEN')).rejects.toEqual(unreadable);
    await expect(setSecret(database, stranger, person, { name: 'NEW', value, hosts }, now)).rejects.toEqual(unreadable);
    await expect(rotateSecrets(database, stranger)).rejects.toEqual(unreadable);
    const owner = createKeyring({ home });
    for (const name of ['TOKEN', 'OTHER']) expect((await openSecret(database, owner, 'local', name)).value).toBe(value);
  });

  it('that is lost can be replaced once no other secret is under it', async () => {
    const { database, set } = await openSafe();
    await set('TOKEN');
    await set('OTHER');
    const anew = createKeyring({ home: temporaryFolder() });
    const draft = { name: 'TOKEN', value: 'another value', hosts };
    await expect(setSecret(database, anew, person, draft, now)).rejects.toMatchObject({
      hint: expect.stringContaining('remove each'),
    });
    await removeSecret(database, 'local', 'OTHER');
    await setSecret(database, anew, person, draft, now);
    expect((await openSecret(database, anew, 'local', 'TOKEN')).value).toBe('another value');
  });

  it.each([
    ['may be read by its group', 0o640],
    ['may be read by everybody', 0o604],
    ['may be written by its group', 0o620],
  ])('is not used from a file that %s', async (_what, mode) => {
    const { set, file, reveal } = await openSafe();
    await set('TOKEN');
    chmodSync(file, mode);
    for (const ask of [() => set('NEW'), () => reveal('TOKEN')]) {
      await expect(ask()).rejects.toMatchObject({
        code: 'not_supported',
        message: `${file} may be read by others, so its keys are not used.`,
        hint: expect.stringContaining(`chmod 600 ${file}`),
      });
    }
    chmodSync(file, 0o600);
    expect(await reveal('TOKEN')).toBe(value);
  });

  it.each([
    ['nothing', '', /holds no key/],
    ['only a remark', '# key\n', /holds no key/],
    ['half a key', 'abcdef\n', /a line that is no key/],
    ['a key and something else', `${'a'.repeat(64)}\nsecretline\n`, /a line that is no key/],
  ])('is not used from a file that holds %s, and nothing of the file is shown', async (_what, text, message) => {
    const { set, file } = await openSafe();
    writeFileSync(file, text, { mode: 0o600 });
    const error = await set('TOKEN').catch((thrown) => thrown);
    expect(error).toMatchObject({ code: 'not_supported', message: expect.stringMatching(message) });
    expect(JSON.stringify(error)).not.toMatch(/abcdef|secretline|aaaa/);
  });

  it('is not made where no file can be, which is said in words', async () => {
    const { set, file, rows } = await openSafe();
    mkdirSync(file);
    await expect(set('TOKEN')).rejects.toMatchObject({ code: 'not_supported', message: expect.stringContaining(file) });
    const nowhere = await openSafe(':memory:', join('/dev/null', 'home'));
    await expect(nowhere.set('TOKEN')).rejects.toMatchObject({
      code: 'not_supported',
      hint: expect.stringContaining('TOOLWEAVER_HOME'),
    });
    expect(await rows()).toEqual([]);
  });

  it('may be given instead, in hexadecimal or base64', async () => {
    const bytes = randomBytes(32);
    const ids = ['hex', 'base64', 'base64url'].map((how) => deriveKey(parseKey(bytes.toString(how as 'hex'))).id);
    expect(new Set(ids).size).toBe(1);
    for (const text of [
      '',
      'abc',
      'g'.repeat(64),
      'a'.repeat(63),
      'a'.repeat(65),
      bytes.subarray(1).toString('base64'),
      `${bytes.toString('hex')}\n`,
    ]) {
      expect(() => parseKey(text)).toThrow(expect.objectContaining({ code: 'bad_input' }));
    }
    const { set, file, reveal } = await openSafe();
    const given = createKeyring({ home: temporaryFolder(), key: [hex()] });
    await set('TOKEN', {}, person, given);
    expect([await reveal('TOKEN', given), existsSync(file)]).toEqual([value, false]);
  });

  it('tells nothing by its id, and another context is another lock', () => {
    const master = randomBytes(32);
    const key = deriveKey(master);
    expect(key.id).toMatch(/^[0-9a-f]{16}$/);
    expect(master.toString('hex') + key.bytes.toString('hex')).not.toContain(key.id);
    const sealed = encrypt(key, value, 'here');
    expect(decrypt(key, sealed, 'here')).toBe(value);
    expect(decrypt(key, sealed, 'there')).toBeUndefined();
    expect(decrypt(deriveKey(randomBytes(32)), sealed, 'here')).toBeUndefined();
  });
});

function rotationSuite(name: string, missing: string, address: () => Promise<string>): void {
  describe.skipIf(missing !== '')(`a rotation over ${name}${missing}`, () => {
    const other = createPrincipal('person:bob', 'person', ['admin'], { tenant: 'other' });
    const safe = async () => {
      const made = await openSafe(await address());
      await made.set('A', { value: 'value of A' });
      await made.set('B', { value: 'value of B' });
      await made.set('A', { value: 'value of other' }, other);
      const readsAll = async (ring: Keyring = made.ring) => {
        const opened = [made.reveal('A', ring), made.reveal('B', ring), openSecret(made.database, ring, 'other', 'A')];
        expect((await Promise.all(opened)).map((one) => (typeof one === 'string' ? one : one.value))).toEqual([
          'value of A',
          'value of B',
          'value of other',
        ]);
      };
      return { ...made, readsAll };
    };

    it('puts every secret of every tenant under a new key and forgets the old one', async () => {
      const { database, ring, rows, lines, readsAll, set } = await safe();
      const [before, oldLines] = [await rows(), lines()];
      const { count, key } = await rotateSecrets(database, ring);
      expect(count).toBe(3);
      const after = await rows();
      expect(after.map((row) => row.key)).toEqual([key, key, key]);
      expect(after.every((row, i) => row.sealed !== before[i]?.sealed && row.set_at === before[i]?.set_at)).toBe(true);
      expect(lines()).toHaveLength(1);
      expect(lines()).not.toEqual(oldLines);
      await readsAll();
      await set('C');
      expect((await rows()).every((row) => row.key === key)).toBe(true);
    });

    it('that ends before its transaction leaves the old key in use, and the next one goes on', async () => {
      const { database, ring, rows, lines, readsAll, set } = await safe();
      const [used] = (await rows()).map(({ key }) => key);
      await expect(rotateSecrets({ write: failing(database, 1) }, ring)).rejects.toThrow('power cut');
      expect(lines()).toHaveLength(2);
      expect((await rows()).map(({ key }) => key)).toEqual([used, used, used]);
      await readsAll();
      await set('C', { value: 'value of C' });
      expect((await rows()).every(({ key }) => key === used)).toBe(true);
      const { count, key } = await rotateSecrets(database, ring);
      expect([count, lines().length, key !== used]).toEqual([4, 1, true]);
      await readsAll();
    });

    it('that ends after its transaction leaves everything readable, and the next one tidies up', async () => {
      const { database, ring, lines, readsAll } = await safe();
      await expect(rotateSecrets({ write: failing(database, 2) }, ring)).rejects.toThrow('power cut');
      expect(lines()).toHaveLength(2);
      await readsAll();
      await rotateSecrets(database, ring);
      expect(lines()).toHaveLength(1);
      await readsAll();
    });

    it('changes nothing when one secret does not open', async () => {
      const { database, ring, rows, reveal } = await safe();
      await database.write((trx) =>
        trx.updateTable('secrets').set({ header: 'x-changed' }).where('name', '=', 'B').execute(),
      );
      const before = await rows();
      await expect(rotateSecrets(database, ring)).rejects.toMatchObject({
        code: 'secret_unreadable',
        message: expect.stringContaining('B'),
      });
      expect(await rows()).toEqual(before);
      expect(await reveal('A')).toBe('value of A');
    });

    it('loses nothing when others rotate, set and read at the same time', async () => {
      const { database, home, ring, lines, readsAll, reveal, set } = await safe();
      await Promise.all([
        ...Array.from({ length: 4 }, () => rotateSecrets(database, createKeyring({ home }))),
        ...Array.from({ length: 8 }, (_, i) =>
          set(`NEW_${i}`, { value: `new value ${i}` }, person, createKeyring({ home })),
        ),
        ...Array.from({ length: 8 }, () => reveal('A', createKeyring({ home }))),
      ]);
      await readsAll();
      for (let i = 0; i < 8; i++) expect(await reveal(`NEW_${i}`)).toBe(`new value ${i}`);
      await rotateSecrets(database, ring);
      expect(lines()).toHaveLength(1);
      await readsAll();
    });

    it('to a given key takes the newest, with the others behind it', async () => {
      const { database, rows, readsAll, home } = await safe();
      const [first, second] = [hex(), hex()];
      await rotateSecrets(database, createKeyring({ home, key: [first] }));
      const one = createKeyring({ home: temporaryFolder(), key: [first] });
      await readsAll(one);
      await expect(rotateSecrets(database, one)).rejects.toMatchObject({
        code: 'bad_input',
        hint: expect.stringContaining('TOOLWEAVER_KEY=NEW,OLD'),
      });
      await rotateSecrets(database, createKeyring({ home: temporaryFolder(), key: [second, first] }));
      expect(new Set((await rows()).map(({ key }) => key))).toEqual(
        new Set([deriveKey(Buffer.from(second, 'hex')).id]),
      );
      await readsAll(createKeyring({ home: temporaryFolder(), key: [second] }));
    });

    it('of no secrets makes a key and is content', async () => {
      const { database, ring } = await openSafe(await address());
      expect(await rotateSecrets(database, ring)).toMatchObject({ count: 0 });
    });
  });
}

/** Writes as the database does, until it dies in the middle of its nth one. */
function failing(database: Database, nth: number): Database['write'] {
  let count = 0;
  return (work) =>
    database.write(async (trx) => {
      const isLast = ++count >= nth;
      if (isLast && nth > 1) throw new Error('power cut');
      const value = await work(trx);
      if (isLast) throw new Error('power cut');
      return value;
    });
}

let server: PostgresServer | undefined;
beforeAll(async () => {
  if (needsPostgres === '') server = await startPostgres();
});
afterAll(() => server?.close());

rotationSuite('SQLite', '', async () => join(temporaryFolder(), 'library.db'));
rotationSuite('PostgreSQL', needsPostgres, async () => (await server?.createDatabase()) ?? '');
