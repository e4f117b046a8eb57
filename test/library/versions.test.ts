import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { person, temporaryFolder, testApp } from '../helpers/app.ts';
import { bare, lenient, saveSkill } from '../helpers/drafts.ts';

const says = (n: number) => `return { n: ${n} };`;

describe('versions', () => {
  it('of one entry are a history, newest first, with who, when and why', async () => {
    const app = await testApp(lenient);
    await app.use('save_skill', bare());
    await app.use('save_skill', bare({ description: 'Doubles one number.' }));
    await app.use('save_skill', bare({ input_schema: { type: 'object' } }));
    const { versions } = (await app.use('list_versions', { name: 'double' })) as {
      versions: Record<string, unknown>[];
    };
    expect(versions.map(({ version, state }) => [version, state])).toEqual([
      ['2.0.0', 'active'],
      ['1.0.1', 'superseded'],
      ['1.0.0', 'superseded'],
    ]);
    for (const one of versions) {
      expect(one).toMatchObject({
        created_by: 'agent:test',
        created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
        seal: expect.stringMatching(/^[0-9a-f]{64}$/),
        risk: 'none',
      });
    }
  });

  it('are never changed by a later one', async () => {
    const app = await testApp(lenient);
    await app.use('save_skill', bare());
    const before = await app.use('describe_tool', { name: 'double@1.0.0', with_code: true });
    await app.use('save_skill', bare({ description: 'Other words.', code: 'export default () => ({ y: 0 });' }));
    const { versions: _, ...after } = (await app.use('describe_tool', {
      name: 'double@1.0.0',
      with_code: true,
    })) as Record<string, unknown>;
    expect(before).toMatchObject(after);
    expect(await app.use('double@1.0.0', { x: 2 })).toEqual({ y: 4 });
    expect(await app.use('double', { x: 2 })).toEqual({ y: 0 });
  });

  it('are called by their number or a range of them', async () => {
    const app = await testApp(lenient);
    await saveSkill(app, 'tell', says(1));
    await saveSkill(app, 'tell', says(2));
    await saveSkill(app, 'tell', says(3), { version: '1.1.0' });
    await saveSkill(app, 'tell', says(4), { version: '2.0.0' });
    const expected = {
      tell: 4,
      '1.0.0': 1,
      '1.0.1': 2,
      '^1': 3,
      '1': 3,
      '1.0': 2,
      '<2 >=1.0.1': 3,
      '*': 4,
      '~1.0.0': 2,
    };
    for (const [version, n] of Object.entries(expected)) {
      const ways = version === 'tell' ? [{ name: 'tell' }] : [{ name: `tell@${version}` }, { name: 'tell', version }];
      for (const way of ways) expect(await app.use('call_tool', { ...way, input: {} }), version).toEqual({ n });
    }
  });

  it('are chosen anew by their range at the next call after a save, whichever process saved', async () => {
    const file = join(temporaryFolder(), 'library.db');
    const [app, other] = [await testApp({ ...lenient, file }), await testApp({ ...lenient, file })];
    const back = () => app.use('rollback', { name: 'tell', version: '1.0.0', reason: 'try' }, { principal: person });
    await saveSkill(app, 'tell', says(1));
    for (const [version, n] of [
      ['2.0.0', 2],
      ['2.0.1', 3],
      ['2.1.0', 4],
    ] as const) {
      await saveSkill(other, 'tell', says(n), { version });
      await back();
      for (const { use } of [app, other])
        expect([await use('tell@2', {}), await use('tell', {})]).toEqual([{ n }, { n: 1 }]);
    }
  });

  it.each([
    ['tell@9.9.9', 'not_found', '1.0.0'],
    ['tell@^2', 'not_found', '1.0.0'],
    ['tell@latest', 'bad_input', 'latest'],
    ['tell@one', 'bad_input', 'one'],
    ['nothing@1.0.0', 'unknown_tool', 'nothing'],
  ])('%s is %s', async (name, code, hint) => {
    const app = await testApp(lenient);
    await app.use('save_skill', bare({ name: 'tell' }));
    const outcome = await app.outcome('call_tool', { name, input: {} });
    expect(outcome).toMatchObject({ status: 'failed', error: { code } });
    expect(JSON.stringify(outcome)).toContain(hint);
  });

  it('that wait or were rejected are not run, and it is said why', async () => {
    const app = await testApp();
    await app.use('save_skill', bare());
    for (const name of ['double', 'double@1.0.0', 'double@*']) {
      await expect(app.use('call_tool', { name, input: { x: 1 } }), name).rejects.toMatchObject({
        code: 'not_approved',
        hint: expect.stringContaining('review'),
      });
    }
    await app.decide('rejected');
    await expect(app.use('double', { x: 1 })).rejects.toMatchObject({
      code: 'not_approved',
      message: expect.stringContaining('rejected'),
    });
  });

  it('of a wanted number are that number; what is wrong with it keeps nothing', async () => {
    const app = await testApp(lenient);
    expect(await app.use('save_skill', bare({ version: '0.2.0' }))).toMatchObject({ version: '0.2.0', bump: 'first' });
    const next = bare({ description: 'Other words.' });
    for (const version of ['0.2.0', '0.1.9', '01.0.0']) {
      await expect(app.use('save_skill', { ...next, version }), version).rejects.toMatchObject({ code: 'bad_input' });
    }
    const wider = bare({ input_schema: { type: 'object' }, version: '0.3.0' });
    await expect(app.use('save_skill', wider)).rejects.toMatchObject({
      code: 'bad_input',
      message: expect.stringContaining('too small a step'),
      hint: expect.stringContaining('1.0.0'),
    });
    expect(await app.use('save_skill', { ...next, version: '0.3.0' })).toMatchObject({ version: '0.3.0' });
    expect(await app.use('list_versions', { name: 'double' })).toMatchObject({
      versions: [{ version: '0.3.0' }, { version: '0.2.0' }],
    });
  });

  it('of nothing are not found', async () => {
    const app = await testApp();
    for (const name of ['nothing', 'save_skill', '__proto__', 'Double']) {
      await expect(app.use('list_versions', { name })).rejects.toMatchObject({ code: 'not_found' });
    }
  });

  it('are described by range as they are called by it', async () => {
    const app = await testApp(lenient);
    await saveSkill(app, 'tell', says(1));
    await saveSkill(app, 'tell', says(2), { version: '2.0.0' });
    expect(await app.use('describe_tool', { name: 'tell@^1' })).toMatchObject({ version: '1.0.0' });
    expect(await app.use('describe_tool', { name: 'tell' })).toMatchObject({ version: '2.0.0' });
    await expect(app.use('describe_tool', { name: 'tell@^3' })).rejects.toMatchObject({ code: 'not_found' });
    await expect(app.use('describe_tool', { name: 'tall' })).rejects.toMatchObject({ code: 'unknown_tool' });
  });
});
