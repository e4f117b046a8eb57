import { readdirSync } from 'node:fs';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { ProgramTypes } from '../../src/code/context-type.ts';
import type { Language } from '../../src/code/parse.ts';
import { checkTypes } from '../../src/code/type-check.ts';
import { temporaryFolder } from '../helpers/app.ts';

const object = (properties: object, required: string[] = [], more: object = {}) => ({
  type: 'object',
  properties,
  required,
  ...more,
});

const types: ProgramTypes = {
  input: object({ x: { type: 'number' }, name: { type: 'string' } }, ['x']),
  output: object({ y: { type: 'number' }, kind: { enum: ['a', 'b'] } }, ['y']),
  tools: [
    {
      name: 'double',
      input: object({ x: { type: 'number' } }, ['x'], { additionalProperties: false }),
      output: object({ y: { type: 'number' } }, ['y']),
    },
    { name: 'csv-summary', input: object({ text: { type: 'string' } }) },
  ],
  reach: { net: [], secrets: [], files: 'none' },
};

const { signal } = new AbortController();
const check = async (source: string, language: Language = 'typescript', more: Partial<ProgramTypes> = {}) =>
  (await checkTypes(source, language, { ...types, ...more }, signal)).map(({ severity, line, column, message }) => ({
    severity,
    place: `${line}:${column}`,
    message,
  }));

/** Every way to write `run` with this body, in which `input` and `ctx` are the parameters. */
const forms: Record<string, (body: string) => string> = {
  'a named function': (body) => `export default async function run(input, ctx) {\n${body}\n}`,
  'a function without a name': (body) => `export default async function (input, ctx) {\n${body}\n}`,
  'an arrow': (body) => `export default async (input, ctx) => {\n${body}\n};`,
  'an arrow in parentheses': (body) => `export default (async (input, ctx) => {\n${body}\n});`,
  'a constant': (body) => `const run = async (input, ctx) => {\n${body}\n};\nexport default run;`,
  'a function exported later': (body) => `async function run(input, ctx) {\n${body}\n}\nexport { run as default };`,
};

describe.each(['typescript', 'javascript'] as const)('in %s', (language) => {
  describe.each(Object.entries(forms))('written as %s', (_, form) => {
    it('all that is wrong is found with its place', async () => {
      const body = `if (input.x === 1) return { y: input.nope };
if (input.x === 2) return { y: 'text' };
if (input.x === 3) return { y: 1, kind: 'c' };
await ctx.tools.double({ x: 'a' });
await ctx.tools.double({ x: 1, z: 2 });
const r = await ctx.tools.double({ x: 1 }); r.z;
await ctx.call('double@^1', { x: 'a' });
await ctx.call('treble', { x: 1 });
await ctx.fetch('https://a.example/');
return {};`;
      const findings = await check(form(body), language);
      expect(findings.map(({ place }) => place)).toEqual([
        ...['2:38', '3:29', '4:35', '5:26', '6:32', '7:47', '8:31', '9:16', '10:11', '11:1'],
      ]);
      const words = ['nope', 'number', '"a"', 'number', "'z'", "'z'", 'number', 'treble', 'fetch', "'y'"];
      for (const [i, word] of words.entries()) expect(findings[i]?.message).toContain(word);
      for (const { severity } of findings) expect(severity).toBe(language === 'typescript' ? 'error' : 'warning');
    });

    it('all that is right is taken', async () => {
      const body = `const { y } = await ctx.tools.double({ x: input.x });
        const all = await ctx.tools['csv-summary'](); const again = await ctx.call('csv-summary', { text: input.name, more: 1 });
        ctx.progress(1, 2, 'half'); ctx.log(all.rows, again); console.log(ctx.now(), ctx.random(), atob('')); 
        try { await ctx.tools.double({ x: 1 }); } catch (error) { if (error instanceof ToolError) ctx.log(error.code, error.message); }
        const found = new Map(); found.set('a', [1]); const list = []; list.push(1);
        const helper = (a, b) => a + b; helper(1, 2);
        return { y: y + list.length, kind: 'a', extra: [1, 2] };`;
      expect(await check(form(body), language)).toEqual([]);
    });
  });
});

describe('an author', () => {
  it('may name the types of the schemas', async () => {
    const named = (body: string) =>
      `export default async function run(input: Input, ctx: Context): Promise<Output> {\n${body}\n}`;
    expect(await check(named('return { y: (await ctx.tools.double({ x: input.x })).y };'))).toEqual([]);
    expect(await check(named('return { y: input.name };'))).toMatchObject([{ place: '2:10' }]);
  });

  it('may give types of their own, as long as they fit the schemas', async () => {
    const own = (type: string) => `interface Mine { y: number }
export default async function run(input: { x: ${type} }): Promise<Mine> { return { y: 1 }; }`;
    expect(await check(own('number'))).toEqual([]);
    expect(await check(own('string'))).toMatchObject([
      {
        severity: 'error',
        place: '2:16',
        message: expect.stringContaining("'number' is not assignable to type 'string'"),
      },
    ]);
    expect(await check('export default (input: { x: string }) => ({ y: 1 });')).toMatchObject([{ severity: 'error' }]);
    expect(
      await check('const run: (input: Input) => { y: string } = () => ({ y: "" });\nexport default run;'),
    ).toMatchObject([{ severity: 'error' }]);
  });

  it('may destructure what it takes, with defaults', async () => {
    expect(
      await check(
        'export default async ({ x, name = "n" }, { tools: { double } }) => ({ y: (await double({ x })).y + name.length });',
      ),
    ).toEqual([]);
    expect(await check('export default function run({ x, w }) { return { y: x }; }')).toMatchObject([
      { place: '1:34' },
    ]);
    expect(await check('export default function run({ x, w }) { return { y: x }; }', 'javascript')).toMatchObject([
      { place: '1:34' },
    ]);
  });

  it.each([
    'export default input => ({ y: input.x });',
    'export default async input => ({ y: input.x });',
    'export default ((input) => ({ y: input.x }));',
    'export default (((input) => /* => */ ({ y: input.x })));',
    'export default async <T,>(input: Input): Promise<Output> => ({ y: input.x });',
    'export default function <T extends () => void>(input) { return { y: input.x }; }',
    'export const a = 1, run = (input) => ({ y: input.x });\nexport { run as default };',
    'export default (input) => { return { y: input.x } }',
  ])('may write it as %s', async (source) => {
    const languages = /Input|<T/.test(source) ? (['typescript'] as const) : (['typescript', 'javascript'] as const);
    for (const language of languages) expect(await check(source, language)).toEqual([]);
    expect(await check(source.replace('input.x', 'input.name'))).toMatchObject([{ severity: 'error' }]);
  });

  it('may answer without waiting, and anything where no output schema says what', async () => {
    expect(await check('export default (input) => ({ y: input.x });')).toEqual([]);
    expect(await check('export default (input) => [input.x];', 'typescript', { output: undefined })).toEqual([]);
    expect(await check('export default function run() {}')).toMatchObject([{ severity: 'error' }]);
  });

  it('gets fetch and files with what was declared, and no more', async () => {
    const source = `export default async (input, ctx) => {
  const answer = await ctx.fetch('https://a.example/', { method: 'POST', headers: { a: 'b' }, body: '' });
  const text = await ctx.files.read('a');
  await ctx.files.write('a', text);
  ctx.log(answer.headers['content-type'], (await answer.text()).length, await ctx.files.readBytes('a', { offset: 1 }));
  return { y: answer.status };
};`;
    const net = [{ host: 'a.example' }];
    expect(await check(source, 'typescript', { reach: { net, secrets: [], files: 'write' } })).toEqual([]);
    const findings = await check(source, 'typescript', { reach: { net, secrets: [], files: 'read' } });
    expect(findings).toMatchObject([{ place: '4:19', message: expect.stringContaining('write') }]);
  });

  it('reads the author’s columns, also behind what is inserted and behind wide characters', async () => {
    const source = "export default function run(input, ctx) { const s = '🙂é'; const t: string = 5; return { y: 1 }; }";
    expect(await check(source)).toMatchObject([{ place: `1:${source.indexOf('t: string') + 1}` }]);
    const script = "export default function run(input, ctx) { const s = '🙂é'; input.nope; return { y: 1 }; }";
    expect(await check(script, 'javascript')).toMatchObject([{ place: `1:${script.indexOf('nope') + 1}` }]);
  });

  it('finds imported types to be anything, since there is no file to read them from', async () => {
    const source = `import type { A, Map as B } from './types.ts';
import type * as C from 'anything';
export type { D } from './more.ts';
declare module './types.ts' { interface E { a: string } }
export default (input: A<string>): B => { const f: import('./x').G = 1; const h: typeof import('./y') = f; return { y: h.x }; };`;
    expect(await check(source)).toEqual([]);
  });

  it.each([
    '// @ts-nocheck\n',
    '/* @ts-nocheck */\n',
    '/// <reference types="node" />\n',
    '/// <reference no-default-lib="true" />\n',
    '/// <reference lib="dom" />\n',
    '/** @import { A } from "node:fs" */\n',
  ])('cannot close the compiler’s eyes, or open them to more, with %j', async (comment) => {
    for (const language of ['typescript', 'javascript'] as const) {
      const source = `${comment}export default (input) => {\n  // @ts-ignore\n  input.nope; /* a */ return { y: 1 };\n};`;
      expect(await check(source, language)).toMatchObject([{ place: '4:9' }]);
    }
  });
});

describe('the compiler', () => {
  it('leaves nothing behind', async () => {
    const folder = temporaryFolder();
    // Others compile in the usual one meanwhile.
    vi.stubEnv('TMPDIR', folder);
    onTestFinished(() => void vi.unstubAllEnvs());
    await check('export default () => ({ y: 1, z: "not checked before" });');
    expect(readdirSync(folder)).toEqual([]);
  });

  it('is stopped when types take more memory than there is', async () => {
    const bomb = `type Rep<S extends string, N extends 1[] = []> = N['length'] extends 30 ? S : Rep<\`\${S}\${S}\`, [...N, 1]>;\nexport const q: Rep<'aaaaaaaaaaaaaaaa'> = 'x';\nexport default () => ({ y: 1 });`;
    expect(await check(bomb)).toMatchObject([{ severity: 'error', message: expect.stringContaining('memory') }]);
  });

  it('is stopped when its caller is gone', async () => {
    const gone = AbortSignal.abort();
    await expect(checkTypes('export default () => ({ y: 1 });', 'typescript', types, gone)).rejects.toMatchObject({
      code: 'cancelled',
    });
  });

  it('checks many at once, two at a time', async () => {
    const all = await Promise.all(
      Array.from({ length: 8 }, (_, i) => check(`export default () => ({ y: ${i % 2 ? '1' : "''"} });`)),
    );
    expect(all.map((findings) => findings.length)).toEqual([1, 0, 1, 0, 1, 0, 1, 0]);
  });
});
