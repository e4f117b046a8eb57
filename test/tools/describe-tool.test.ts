import { describe, expect, it } from 'vitest';
import { runTsc } from '../../src/code/tsc.ts';
import { draft, testApp } from '../helpers/app.ts';
import { bare, lenient, saveSkill } from '../helpers/drafts.ts';

describe('describe_tool as TypeScript', () => {
  it('gives the types of a tool and how code calls it, and nothing else', async () => {
    const app = await testApp();
    await app.save();
    const described = await app.use('describe_tool', { name: 'double@^1', format: 'typescript' });
    expect(described).toEqual({
      name: 'double',
      version: '1.0.0',
      types: `type Input = { x: number };
type Output = { y: number };
declare const ctx: { tools: { double(input: Input): Promise<Output> } };`,
    });
    await expect(app.use('describe_tool', { name: 'double', format: 'python' })).rejects.toMatchObject({
      code: 'bad_input',
    });
  });

  it('gives what compiles, for every built-in tool', async () => {
    const app = await testApp();
    const files: Record<string, string> = {};
    for (const { name } of app.catalog.list('local')) {
      const { types } = (await app.use('describe_tool', { name, format: 'typescript' })) as { types: string };
      files[`${name}.ts`] = `export {};\n${types}\nctx.tools.${name} satisfies (input: Input) => Promise<unknown>;\n`;
    }
    const options = { strict: true, noEmit: true, target: 'esnext', types: [], module: 'esnext' };
    files['tsconfig.json'] = JSON.stringify({ compilerOptions: options, files: Object.keys(files) });
    expect(await runTsc(files, new AbortController().signal)).toEqual({ diagnostics: [] });
  });
});

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
