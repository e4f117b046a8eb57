import { describe, expect, it } from 'vitest';
import { draft, testApp } from '../helpers/app.ts';
import { bare, lenient, saveSkill } from '../helpers/drafts.ts';

describe('describe_tool', () => {
  it('gives all that is known about a skill, but its code only where that is asked for', async () => {
    const app = await testApp();
    await app.save({ tags: ['math'] });
    const described = (await app.use('describe_tool', { name: 'double' })) as object;
    expect(described).toMatchObject({
      name: 'double',
      kind: 'skill',
      title: 'Double',
      version: '1.0.0',
      signature: expect.stringContaining('double('),
      annotations: { readOnlyHint: true, destructiveHint: false },
      uses: [],
      lock: {},
      language: 'javascript',
      limits: { cpuMs: 2_000 },
      examples: draft().examples,
    });
    expect(described).not.toHaveProperty('code');
    expect(await app.use('describe_tool', { name: 'double', with_code: true })).toMatchObject({ code: draft().code });
  });

  it('describes every built-in tool', async () => {
    const app = await testApp();
    for (const { name } of app.catalog.list('local')) {
      expect(await app.use('describe_tool', { name }), name).toMatchObject({
        name,
        kind: 'builtin',
        input_schema: { type: 'object' },
      });
    }
  });

  it('describes a tool with risk as one', async () => {
    const app = await testApp(lenient);
    await saveSkill(app, 'keeper', 'return ctx.tools.save_skill({});');
    expect(await app.use('describe_tool', { name: 'keeper' })).toMatchObject({
      risk: 'writes',
      uses: [{ name: 'save_skill', range: '*' }],
      annotations: { readOnlyHint: false, destructiveHint: true },
    });
  });

  it.each([
    ['nothing', 'unknown_tool'],
    ['__proto__', 'unknown_tool'],
    ['double', 'not_approved'],
    ['double@2.0.0', 'not_found'],
  ])('of %s answers %s', async (name, code) => {
    const app = await testApp();
    await app.use('save_skill', bare());
    await expect(app.use('describe_tool', { name })).rejects.toMatchObject({ code });
  });
});
