import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { decide, listReviews } from '../../src/approval/reviews.ts';
import { libraryReviewEnds } from '../../src/library/decide.ts';
import type { Manifest } from '../../src/library/kind.ts';
import { viewReview } from '../../src/library/review-view.ts';
import { readSealed, sealOf } from '../../src/library/seal.ts';
import { person, type TestApp, temporaryFolder, testApp } from '../helpers/app.ts';
import { bare, lenient, saveSkill } from '../helpers/drafts.ts';

const broken = { code: 'seal_broken' };

/** Changes the stored manifest's text of a version. */
async function alterManifest(app: TestApp, name: string, change: (text: string) => string): Promise<void> {
  await app.database.write(async (trx) => {
    const row = await trx.selectFrom('versions').select('manifest').where('name', '=', name).executeTakeFirstOrThrow();
    await trx
      .updateTable('versions')
      .set({ manifest: change(row.manifest) })
      .where('name', '=', name)
      .execute();
  });
}

/** Changes one byte of the stored text that a manifest names by hash. */
async function alterText(app: TestApp, name: string, part: 'source' | 'compiled' | 'examples'): Promise<void> {
  await app.database.write(async (trx) => {
    const row = await trx.selectFrom('versions').select('manifest').where('name', '=', name).executeTakeFirstOrThrow();
    const hash = (JSON.parse(row.manifest) as Manifest)[part];
    const blob = await trx.selectFrom('blobs').select('bytes').where('hash', '=', hash).executeTakeFirstOrThrow();
    const bytes = Buffer.from(blob.bytes);
    bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1;
    await trx.updateTable('blobs').set({ bytes }).where('hash', '=', hash).execute();
  });
}

describe('a byte that differs from what was sealed', () => {
  it.each(['source', 'compiled', 'examples'] as const)('in the stored %s stops the call', async (part) => {
    const app = await testApp(lenient);
    const typed = { code: 'export default (input: { x: number }) => ({ y: input.x * 2 });', language: 'typescript' };
    await app.use('save_skill', bare(typed));
    await alterText(app, 'double', part);
    await expect(app.use('double', { x: 2 })).rejects.toMatchObject({
      ...broken,
      hint: expect.stringContaining('backup'),
    });
    // The sandbox was never asked.
    expect(await app.use('list_versions', { name: 'double' })).toMatchObject({ versions: [{ state: 'active' }] });
  });

  it('in what is described is not shown', async () => {
    const app = await testApp(lenient);
    await app.use('save_skill', bare());
    await alterText(app, 'double', 'examples');
    await expect(app.use('describe_tool', { name: 'double' })).rejects.toMatchObject(broken);
  });

  it('stops what uses it, too', async () => {
    const app = await testApp(lenient);
    await app.use('save_skill', bare());
    await saveSkill(app, 'user', 'return ctx.tools.double({ x: 1 });');
    await alterText(app, 'double', 'compiled');
    await expect(app.use('user')).rejects.toMatchObject({ details: { tool: 'double', code: 'seal_broken' } });
  });

  it('is healed when the stored text is', async () => {
    const app = await testApp(lenient);
    await app.use('save_skill', bare());
    await alterText(app, 'double', 'compiled');
    await expect(app.use('double', { x: 2 })).rejects.toMatchObject(broken);
    await alterText(app, 'double', 'compiled');
    expect(await app.use('double', { x: 2 })).toEqual({ y: 4 });
  });

  const changes: Record<string, (text: string) => string> = {
    'a word of its description': (text) => text.replace('Doubles', 'Triples'),
    'its name': (text) => text.replace('"double"', '"treble"'),
    'its kind': (text) => text.replace('"skill"', '"skull"'),
    'a limit': (text) => text.replace('"cpuMs":2000', '"cpuMs":9000'),
    'a capability': (text) => text.replace('"tools":[]', '"tools":[{"name":"save_skill","range":"*"}]'),
    'the hash of its code': (text) => text.replace(/"compiled":"./, '"compiled":"x'),
    'a name of a field': (text) => text.replace('"useWhen"', '"useWhan"'),
    'its schema': (text) => text.replace('"type":"number"', '"type":"numbrr"'),
    'its form: no JSON any more': (text) => text.slice(1),
    'all of it: a number': () => '1',
    'all of it: nothing': () => 'null',
    'all of it: an empty text': () => '',
  };
  it.each(Object.entries(changes))(
    'in the stored manifest, in %s, stops the call in the next process, and nothing else',
    async (_, change) => {
      const file = join(temporaryFolder(), 'library.db');
      const before = await testApp({ ...lenient, file });
      await before.use('save_skill', bare());
      await before.use('save_skill', bare({ name: 'other' }));
      await alterManifest(before, 'double', change);
      await before.close();
      const app = await testApp({ ...lenient, file });
      for (const name of ['double', 'double@1.0.0', 'double@^1']) {
        await expect(app.use('call_tool', { name, input: { x: 2 } })).rejects.toMatchObject(broken);
      }
      await expect(app.use('describe_tool', { name: 'double' })).rejects.toMatchObject(broken);
      expect(app.catalog.list('local').map(({ name }) => name)).not.toContain('double');
      expect(app.catalog.list('local').map(({ name }) => name)).toContain('other');
      expect(await app.use('list_versions', { name: 'double' })).toMatchObject({ versions: [{ version: '1.0.0' }] });
      // As the hint says: saved again it runs again, as a version of its own.
      expect(await app.use('save_skill', bare())).toMatchObject({
        version: '2.0.0',
        state: 'active',
      });
    },
  );

  it('in a version that waits cannot be approved, but rejected', async () => {
    const app = await testApp();
    await app.use('save_skill', bare());
    await alterManifest(app, 'double', (text) => text.replace('Doubles', 'Triples'));
    const [review] = await listReviews(app.database.read, 'local', 'open', 1);
    const { id = '', subject: { seal } = { seal: '' } } = review ?? {};
    await expect(viewReview(app.database.read, 'local', id)).rejects.toMatchObject(broken);
    const decideIt = (verdict: 'approved' | 'rejected') =>
      app.database.write((trx) =>
        decide(trx, libraryReviewEnds, person, { id, seal, verdict, how: 'cli' }, Date.now()),
      );
    await expect(decideIt('approved')).rejects.toMatchObject(broken);
    expect(await decideIt('rejected')).toMatchObject({ state: 'rejected' });
  });

  it('in a version to go back to cannot be gone back to', async () => {
    const app = await testApp(lenient);
    await saveSkill(app, 'tell', 'return { n: 1 };');
    await app.database.write(async (trx) => {
      await trx.updateTable('versions').set({ manifest: '{}' }).where('name', '=', 'tell').execute();
    });
    await saveSkill(app, 'tell', 'return { n: 2 };');
    const back = { name: 'tell', version: '1.0.0', reason: 'why not' };
    await expect(app.use('rollback', back, { principal: person })).rejects.toMatchObject(broken);
  });

  it('in a seal that another skill has locked stops that skill', async () => {
    const app = await testApp(lenient);
    await app.use('save_skill', bare());
    await saveSkill(app, 'user', 'return ctx.tools.double({ x: 1 });');
    // Another version takes the place of the locked one, with a seal of its own.
    await saveSkill(app, 'double', 'return { y: 666 };');
    await app.database.write(async (trx) => {
      const other = await trx
        .selectFrom('versions')
        .selectAll()
        .where('version', '=', '2.0.0')
        .executeTakeFirstOrThrow();
      const { manifest, seal } = other;
      await trx
        .updateTable('versions')
        .set({ manifest, seal })
        .where('name', '=', 'double')
        .where('version', '=', '1.0.0')
        .execute();
    });
    await expect(app.use('user')).rejects.toMatchObject({ details: { tool: 'double', code: 'seal_broken' } });
  });
});

describe('a seal', () => {
  const manifest = { name: 'a', input: { type: 'object', title: 'é' } } as unknown as Manifest;

  it('is that of the canonical form, whatever the order of keys', () => {
    const turned = { input: { title: 'é', type: 'object' }, name: 'a' } as unknown as Manifest;
    expect(sealOf(turned)).toBe(sealOf(manifest));
    expect(readSealed(JSON.stringify(turned), sealOf(manifest))).toEqual(manifest);
  });

  it.each(['', 'x', 'null', '[]', '{"name":"a"}', '['.repeat(100_000)])('does not fit %.20j', (text) => {
    expect(readSealed(text, sealOf(manifest))).toBeUndefined();
  });
});
