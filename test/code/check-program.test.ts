import { describe, expect, it } from 'vitest';
import { checkProgram } from '../../src/code/check-program.ts';
import { type Language, parseProgram } from '../../src/code/parse.ts';
import { readProgram } from '../../src/code/program.ts';

async function check(source: string, language: Language = 'javascript') {
  const { ast, findings } = await parseProgram(source, language);
  if (!ast || findings.length > 0) throw new Error(`the source of a test does not parse: ${findings[0]?.message}`);
  return checkProgram(await readProgram(ast));
}

const body = (statements: string) => `export default async function run(input, ctx) {\n${statements}\n}`;

describe('a program', () => {
  it.each<[string, string, Language?]>([
    ['everything of the language', body('return [new Map(), Math.max(1), JSON.stringify(input), 1n, /a/u, Symbol()]')],
    [
      'what the sandbox adds',
      body('console.log(atob("")); queueMicrotask(() => {}); return new ToolError("a", "b", "c")'),
    ],
    ['its own names, wherever they are declared', body('return later(1);\nfunction later(a) { return a; }')],
    [
      'labels, catch without a name, destructuring',
      body('o: for (const { a, ...b } of input) { try { continue o; } catch { return b; } }'),
    ],
    [
      'a class with private members',
      'class A { #b = 1; static c = 2; get d() { return this.#b; } }\nexport default () => new A().d;',
    ],
    ['a question whether something is there', body('if (typeof process !== "undefined") return process.env;')],
    ['members named like forbidden things', body('return input.process.fetch(input.require)')],
    ['parameters named like forbidden things', 'export default (fetch, process) => fetch(process);'],
    ['imported types', "import type { A } from './a.ts';\nexport default (input: A): A => input;", 'typescript'],
    ['exported types', "export type { A } from './a.ts';\nexport default () => ({});", 'typescript'],
    [
      'types of every form',
      `interface A<T> { b: T }\ntype C = A<process> | typeof input;\ndeclare const input: fetch;\nabstract class D<T> extends Map<T, Foo> implements Bar<T> { constructor(private e: Baz) { super(); } f?: Qux }\nexport default (g: Node): asserts g is Elem => { const h = g as unknown as Quux<T>; return h satisfies Corge; };`,
      'typescript',
    ],
    [
      'enums and overloads',
      'enum A { B = 1, C = B }\nfunction d(x: string): string;\nfunction d(x: unknown) { return x; }\nexport default () => d(String(A.C));',
      'typescript',
    ],
  ])('may use %s', async (_, source, language) => {
    expect(await check(source, language)).toEqual([]);
  });

  it.each([
    ['import a from "b";', 1],
    ['import "b";', 1],
    ['import { type A, b } from "b";', 1],
    ['export * from "b";', 1],
    ['export * as a from "b";', 1],
    ['export { a } from "b";', 1],
    ['export const b = import("c");', 1],
  ])('may not import: %s', async (source, line) => {
    const language = source.includes('type') ? 'typescript' : 'javascript';
    expect(await check(`${source}\nexport default () => ({});`, language)).toMatchObject([
      { rule: 'import', severity: 'error', where: 'code', line, remedy: expect.stringContaining('ctx.tools') },
    ]);
  });

  it('may not import with TypeScript’s own form', async () => {
    const rules = (await check('import a = require("b");\nexport default () => a;', 'typescript')).map(
      ({ rule }) => rule,
    );
    expect(rules).toContain('import');
  });

  it.each([
    ['process', 'no process'],
    ['require', 'no process'],
    ['Buffer', 'no process'],
    ['__dirname', 'no process'],
    ['fetch', 'ctx.fetch(url'],
    ['WebSocket', 'no network'],
    ['performance', 'ctx.now()'],
    ['anything', 'Declare anything'],
  ])('is told what to do instead of using %s', async (name, remedy) => {
    expect(await check(body(`return ${name};`))).toMatchObject([
      { rule: 'unknown_name', severity: 'error', line: 2, column: 8, remedy: expect.stringContaining(remedy) },
    ]);
  });

  it.each([
    ['setTimeout', 'no timers'],
    ['setInterval', 'no timers'],
    ['Intl', 'format by hand'],
    ['URL', 'as text'],
    ['structuredClone', 'JSON.parse'],
  ])('needs another engine for %s, and is told how to do without', async (name, remedy) => {
    expect(await check(body(`return ${name};`))).toMatchObject([
      { rule: 'needs_deno', severity: 'error', line: 2, column: 8, remedy: expect.stringContaining(remedy) },
    ]);
  });

  it.each(['ctx', 'input'])('is told to take %s as a parameter', async (name) => {
    expect(await check(`export default function run() { return ${name}; }`)).toMatchObject([
      { rule: 'unknown_name', remedy: expect.stringContaining('run(input, ctx)') },
    ]);
  });

  it('hears of each unknown name once', async () => {
    const findings = await check(body('fetch(1);\nfetch(2);\nprocess.exit(fetch(3));'));
    expect(findings.map(({ line }) => line)).toEqual([2, 4]);
  });

  it.each([
    ['nothing', 'export const a = 1;'],
    ['a class', 'export default class {}'],
  ])('that exports %s as its default is shown what to write', async (_, source) => {
    expect(await check(source)).toMatchObject([
      { rule: 'no_default_export', remedy: expect.stringContaining('export default async function run') },
    ]);
  });

  it.each(['function* run() {}', 'async function* run() {}'])('may not be a generator: %s', async (source) => {
    expect(await check(`export default ${source}`)).toMatchObject([{ rule: 'generator', line: 1 }]);
  });

  it.each(['eval(input.code)', 'new Function(input.code)()', 'Function(input.code)()'])(
    'that makes code is flagged: %s',
    async (source) => {
      expect(await check(body(`return ${source};`))).toMatchObject([
        { rule: 'made_code', severity: 'warning', line: 2 },
      ]);
    },
  );

  it('may have its own function named eval-like', async () => {
    expect(await check(body('const Function = class {}; return new Function();'))).toEqual([]);
  });
});
