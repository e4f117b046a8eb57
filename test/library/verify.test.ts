import { describe, expect, it } from 'vitest';
import { sha256 } from '../../src/json.ts';
import type { Manifest } from '../../src/library/kind.ts';
import { compactLibrary, type Fault, verifyLibrary } from '../../src/library/verify.ts';
import { retentionMs } from '../../src/runs/table.ts';
import { putBlob } from '../../src/store/blobs.ts';
import type { Db } from '../../src/store/tables.ts';
import { type TestApp, testApp } from '../helpers/app.ts';
import { lenient, saveSkill } from '../helpers/drafts.ts';

const answers = (value: number): string => `return { y: ${value} };`;

/** Three skills, one with two versions, one that uses another. */
async function library(): Promise<TestApp> {
  const app = await testApp(lenient);
  await saveSkill(app, 'base', answers(1));
  await saveSkill(app, 'top', 'return ctx.tools.base({});');
  await saveSkill(app, 'twice', answers(3));
  await saveSkill(app, 'twice', answers(2));
  return app;
}

const stored = (trx: Db, name: string, version = '1.0.0') =>
  trx
    .selectFrom('versions')
    .selectAll()
    .where('name', '=', name)
    .where('version', '=', version)
    .executeTakeFirstOrThrow();
const manifestOf = async (trx: Db, name: string): Promise<Manifest> => JSON.parse((await stored(trx, name)).manifest);
const setManifest = (trx: Db, name: string, manifest: string) =>
  trx.updateTable('versions').set({ manifest }).where('name', '=', name).where('version', '=', '1.0.0').execute();

type Damage = (trx: Db) => Promise<unknown>;
type Found = Pick<Fault, 'what' | 'name'>;

const damages: [string, Damage, Found | ((trx: Db) => Promise<Found>)][] = [
  [
    'an altered text',
    async (trx) => {
      const { source: hash } = await manifestOf(trx, 'base');
      await trx
        .updateTable('blobs')
        .set({ bytes: Buffer.from('other') })
        .where('hash', '=', hash)
        .execute();
    },
    async (trx) => ({ what: 'blob', name: (await manifestOf(trx, 'base')).source }),
  ],
  [
    'a text that is gone',
    async (trx) => {
      const { source: hash } = await manifestOf(trx, 'base');
      await trx.deleteFrom('blobs').where('hash', '=', hash).execute();
    },
    { what: 'blob', name: 'base@1.0.0' },
  ],
  [
    'an altered manifest',
    async (trx) => setManifest(trx, 'base', (await stored(trx, 'base')).manifest.replace('Doubles', 'Deletes')),
    { what: 'seal', name: 'base@1.0.0' },
  ],
  ['a manifest that is cut off', (trx) => setManifest(trx, 'base', '{"kind":'), { what: 'seal', name: 'base@1.0.0' }],
  ['a manifest that is none', (trx) => setManifest(trx, 'base', 'null'), { what: 'seal', name: 'base@1.0.0' }],
  ['an empty manifest', (trx) => setManifest(trx, 'base', '{}'), { what: 'seal', name: 'base@1.0.0' }],
  [
    'another seal',
    (trx) =>
      trx
        .updateTable('versions')
        .set({ seal: sha256('other') })
        .where('name', '=', 'twice')
        .where('ordinal', '=', 2)
        .execute(),
    { what: 'seal', name: 'twice@1.0.1' },
  ],
  [
    'a lock on a version that is not there',
    (trx) => trx.updateTable('dependencies').set({ locked_version: '9.9.9' }).execute(),
    { what: 'lock', name: 'top@1.0.0' },
  ],
  [
    'a lock on another seal',
    (trx) =>
      trx
        .updateTable('dependencies')
        .set({ locked_seal: sha256('other') })
        .execute(),
    { what: 'lock', name: 'top@1.0.0' },
  ],
  [
    'a lock on another version that is there',
    async (trx) => {
      const { version, seal } = await stored(trx, 'twice');
      await trx
        .updateTable('dependencies')
        .set({ dependency: 'twice', locked_version: version, locked_seal: seal })
        .execute();
    },
    { what: 'lock', name: 'top@1.0.0' },
  ],
  ['a lock that is gone', (trx) => trx.deleteFrom('dependencies').execute(), { what: 'lock', name: 'top@1.0.0' }],
  [
    'a pointer to a version that is not active',
    (trx) => trx.updateTable('entries').set({ active_version: '1.0.0' }).where('name', '=', 'twice').execute(),
    { what: 'pointer', name: 'twice' },
  ],
  [
    'a pointer to nothing',
    (trx) => trx.updateTable('entries').set({ active_version: null }).where('name', '=', 'twice').execute(),
    { what: 'pointer', name: 'twice' },
  ],
  [
    'two active versions',
    (trx) => trx.updateTable('versions').set({ state: 'active' }).where('name', '=', 'twice').execute(),
    { what: 'pointer', name: 'twice' },
  ],
];

describe('checking all that is kept', () => {
  it('finds nothing wrong with what was saved', async () => {
    const app = await library();
    const { versions, blobs, faults } = await verifyLibrary(app.database);
    expect([versions, faults]).toEqual([4, []]);
    expect(blobs).toBeGreaterThanOrEqual(4);
  });

  it('finds every fault there is, each on its own, and only that', async () => {
    const app = await library();
    for (const [title, damage, expected] of damages) {
      const found: Fault[] = [];
      const wanted: Found[] = [];
      const undone = app.database.write(async (trx) => {
        wanted.push(typeof expected === 'function' ? await expected(trx) : expected);
        await damage(trx);
        found.push(...(await verifyLibrary({ read: trx })).faults);
        throw new Error('undone');
      });
      await expect(undone).rejects.toThrow('undone');
      expect([title, found]).toEqual([title, expect.arrayContaining([expect.objectContaining(wanted[0])])]);
      const others = found.filter(({ name }) => name !== wanted[0]?.name && name !== 'top@1.0.0');
      expect([title, others]).toEqual([title, []]);
    }
    expect((await verifyLibrary(app.database)).faults).toEqual([]);
  });

  it('goes on to the last of many', async () => {
    const app = await library();
    await app.database.write(async (trx) => {
      const { manifest, seal, ...row } = await stored(trx, 'base');
      for (let n = 1; n <= 450; n++) {
        const copy = { ...row, manifest, seal, version: `1.0.${n}`, ordinal: n + 1, state: 'superseded' };
        await trx.insertInto('versions').values(copy).execute();
      }
      await trx.updateTable('versions').set({ manifest: '{}' }).where('version', '=', '1.0.450').execute();
      for (let n = 0; n < 50; n++) await putBlob(trx, 'other', `text ${n}`);
    });
    const { versions, blobs, faults } = await verifyLibrary(app.database);
    expect(versions).toBe(454);
    expect(blobs).toBeGreaterThanOrEqual(54);
    expect(faults).toEqual([expect.objectContaining({ what: 'seal', name: 'base@1.0.450' })]);
  });
});

describe('compacting', () => {
  const now = Date.now();

  it('forgets expired runs and texts that nothing names, and keeps all that is used', async () => {
    const app = await library();
    await app.database.write((trx) => putBlob(trx, 'local', 'named by nobody'));
    await app.call({
      ...{ tool: 'base', input: {}, via: 'mcp', signal: new AbortController().signal, backgroundAfterMs: 0 },
      principal: { id: 'agent:test', tenant: 'local', kind: 'agent', roles: ['author'], scopes: ['read', 'call'] },
    });
    expect(await compactLibrary(app.database, now)).toEqual({ runs: 0, blobs: 1 });
    expect(await compactLibrary(app.database, now + retentionMs.kept + 86_400_000)).toEqual({ runs: 1, blobs: 0 });
    expect((await verifyLibrary(app.database)).faults).toEqual([]);
    expect(await app.use('top', {})).toEqual({ y: 1 });
  });

  it('keeps the texts of a tenant in which a version is not what was sealed', async () => {
    const app = await library();
    await app.database.write(async (trx) => {
      await setManifest(trx, 'base', '{}');
      await putBlob(trx, 'local', 'named by nobody');
      await putBlob(trx, 'theirs', 'named by nobody');
    });
    expect(await compactLibrary(app.database, now)).toEqual({ runs: 0, blobs: 1 });
    const { faults } = await verifyLibrary(app.database);
    expect(faults.filter(({ what }) => what === 'blob')).toEqual([]);
  });
});
