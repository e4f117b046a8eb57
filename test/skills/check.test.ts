import { describe, expect, it } from 'vitest';
import type { Finding } from '../../src/contracts.ts';
import { WeaverError } from '../../src/errors.ts';
import { inspectSkill as inspect, titleOf } from '../../src/skills/check.ts';
import { draft, testApp } from '../helpers/app.ts';

const inspectSkill = (fields: unknown) =>
  inspect(fields, {
    allowAnyHost: false,
    builtins: () => ['save_skill'],
    engineProblem: async () => new WeaverError('not_supported', 'There is no Deno.'),
    sandbox: () => {
      throw new Error('nothing is run');
    },
  });
const object = (more: object) => ({ type: 'object', ...more });

describe('a schema of a draft', () => {
  const wide = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`p${i}`, {}]));
  const text = { type: 'string' };
  it.each<[string, unknown, string]>([
    ['anyOf at its root', object({ anyOf: [{}] }), 'root_combinator'],
    ['oneOf at its root', object({ oneOf: [{}] }), 'root_combinator'],
    ['allOf at its root', object({ allOf: [{}] }), 'root_combinator'],
    ['not at its root', object({ not: {} }), 'root_combinator'],
    ['a reference at its root', object({ $ref: '#/$defs/a', $defs: { a: {} } }), 'root_combinator'],
    ['a remote reference', object({ properties: { x: { $ref: 'https://example.org/a.json' } } }), 'remote_ref'],
    ['a reference to a file', object({ properties: { x: { $ref: 'file:///etc/passwd' } } }), 'remote_ref'],
    [
      'a circular reference',
      object({ properties: { x: { $ref: '#/$defs/a' } }, $defs: { a: { items: { $ref: '#/$defs/a' } } } }),
      'ref_ring',
    ],
    ['10,000 properties', object({ properties: wide }), 'schema_too_large'],
    ['a property __proto__', JSON.parse('{"type":"object","properties":{"__proto__":{}}}'), 'unsafe_name'],
    ['a property constructor', object({ properties: { constructor: {} } }), 'unsafe_name'],
    ['a look-behind', object({ properties: { x: { pattern: '(?<=a)b' } } }), 'pattern'],
    ['a back-reference', object({ properties: { x: { pattern: '(a)\\1' } } }), 'pattern'],
    [
      'uniqueItems over lists without end',
      object({ properties: { x: { type: 'array', items: text, uniqueItems: true } } }),
      'costly_keyword',
    ],
    [
      'uniqueItems over objects',
      object({ properties: { x: { type: 'array', items: { type: 'object' }, uniqueItems: true, maxItems: 9 } } }),
      'costly_keyword',
    ],
  ])('may not have %s', async (_, schema, rule) => {
    for (const field of ['input_schema', 'output_schema']) {
      const { findings, manifest } = await inspectSkill(draft({ [field]: schema }));
      expect(manifest).toBeUndefined();
      const finding = findings.find((one) => one.rule.startsWith(rule));
      expect(finding).toMatchObject({ severity: 'error', where: expect.stringMatching(`^${field}`) });
    }
  });

  it('may not have a pattern that stops a server, or rather it does not stop this one', async () => {
    const app = await testApp();
    await app.save({
      name: 'only_a',
      code: 'export default ({ text }) => ({ length: text.length });',
      input_schema: object({ properties: { text: { type: 'string', pattern: '^(a+)+$' } }, required: ['text'] }),
      output_schema: object({ properties: { length: { type: 'number' } } }),
      examples: [{ input: { text: 'aa' }, output: { length: 2 } }],
    });
    const started = performance.now();
    await expect(app.use('only_a', { text: `${'a'.repeat(200_000)}!` })).rejects.toMatchObject({
      code: 'bad_input',
      message: expect.stringContaining('input.text'),
    });
    expect(await app.use('only_a', { text: 'a'.repeat(5_000) })).toEqual({ length: 5_000 });
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  it('may have uniqueItems over a short list of plain items, which is checked', async () => {
    const app = await testApp();
    const list = { type: 'array', items: { type: 'integer' }, uniqueItems: true, maxItems: 1_000 };
    await app.save({
      name: 'count_items',
      code: 'export default ({ list }) => ({ count: list.length });',
      input_schema: object({ properties: { list }, required: ['list'] }),
      output_schema: object({ properties: { count: { type: 'integer' } } }),
      examples: [{ input: { list: [1, 2] }, output: { count: 2 } }],
    });
    const numbers = Array.from({ length: 1_000 }, (_, i) => i);
    expect(await app.use('count_items', { list: numbers })).toEqual({ count: 1_000 });
    await expect(app.use('count_items', { list: [...numbers.slice(1), 1] })).rejects.toMatchObject({
      code: 'bad_input',
    });
    const many = Array(200_000).fill(1);
    await expect(app.use('count_items', { list: many })).rejects.toMatchObject({ code: 'bad_input' });
  });
});

describe('the code of a draft', () => {
  const inspectCode = async (code: string, language = 'javascript'): Promise<Finding[]> =>
    (await inspectSkill(draft({ code, language }))).findings;

  it.each<[string, string, string, number | undefined]>([
    ['does not parse', 'export default () => {\n  return {;\n}', 'syntax', 2],
    ['is TypeScript said to be JavaScript', 'export default (input: { x: number }) => ({ y: 1 });', 'syntax', 1],
    ['imports', "\nimport fs from 'node:fs';\nexport default () => fs;", 'import', 2],
    ['imports at run time', "export default () =>\n  import('node:fs');", 'import', 2],
    ['requires', "export default () => require('node:fs');", 'unknown_name', 1],
    ['reads the process', 'export default () => process.env;', 'unknown_name', 1],
    ['fetches', "export default () => fetch('http://localhost');", 'unknown_name', 1],
    ['sleeps', 'export default () => new Promise((done) => setTimeout(done, 1));', 'needs_deno', 1],
    ['exports no default', 'export const run = () => ({});', 'no_default_export', undefined],
    ['exports a generator', 'export default function* () {}', 'generator', 1],
    ['nests deeply', `export default () => ${'['.repeat(50_000)}${']'.repeat(50_000)};`, 'code_too_deep', undefined],
  ])('may not be such that it %s', async (_, code, rule, line) => {
    const [finding, ...others] = await inspectCode(code);
    expect(others).toEqual([]);
    expect(finding).toMatchObject({ rule, severity: 'error', where: 'code', remedy: expect.stringMatching(/./) });
    expect(finding?.line).toBe(line);
  });

  it('says all at once', async () => {
    const code = "import 'a';\nexport default function* (input, ctx) {\n  fetch(1); process.exit();\n  return ctx;\n}";
    const rules = (await inspectCode(code)).map(({ rule, line }) => [rule, line]);
    expect(rules).toEqual(
      expect.arrayContaining([
        ['import', 1],
        ['generator', 2],
        ['unknown_name', 3],
        ['ctx_escapes', 4],
      ]),
    );
  });

  it('gives a manifest when it is sound, and the texts that it names by hash', async () => {
    const { manifest, texts, findings, uses } = await inspectSkill(draft({ tags: ['math'] }));
    expect(findings).toEqual([]);
    expect(uses).toEqual([]);
    expect(manifest).toMatchObject({
      kind: 'skill',
      name: 'double',
      title: 'Double',
      tags: ['math'],
      engine: 'quickjs',
    });
    expect(texts?.source).toBe(draft().code);
    expect(texts?.compiled).toBe(draft().code);
    expect(JSON.parse(texts?.examples ?? '')).toEqual(draft().examples);
  });
});

describe('the examples of a draft', () => {
  const deep = JSON.parse(`${'['.repeat(80)}${']'.repeat(80)}`);
  it.each<[string, unknown, string]>([
    ['nest without end', deep, 'nest deeper than 64'],
    ['be over 1 MB', 'x'.repeat(1_000_000), 'over 1000000 bytes'],
    ['be over 1 MB in bytes, not in characters', '€'.repeat(400_000), 'over 1000000 bytes'],
    ['hold what JSON cannot', Number.NEGATIVE_INFINITY, 'a number that JSON cannot hold'],
  ])('may not %s', async (_, output, message) => {
    const { findings } = await inspectSkill(draft({ examples: [{ input: {}, output }] }));
    expect(findings).toMatchObject([
      { rule: 'examples', where: 'examples', message: expect.stringContaining(message) },
    ]);
  });
});

it.each([
  ['double', 'Double'],
  ['csv_summary', 'Csv summary'],
  ['a-b_c', 'A b c'],
])('the title of %s is %s', (name, title) => {
  expect(titleOf(name)).toBe(title);
});
