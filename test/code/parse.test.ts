import { describe, expect, it } from 'vitest';
import { type Language, parseProgram } from '../../src/code/parse.ts';

const run = 'export default function run() { return {}; }';
const parse = (source: string, language: Language = 'javascript') => parseProgram(source, language);
const rulesOf = async (source: string, language?: Language) =>
  (await parse(source, language)).findings.map(({ rule }) => rule);

describe('reading source', () => {
  it.each<[string, string, Language]>([
    ['a module', run, 'javascript'],
    ['TypeScript that is said to be so', 'export default (input: { x: number }) => input as unknown;', 'typescript'],
    ['Windows line ends', 'const a = 1;\r\nexport default () => a;\r\n', 'javascript'],
    ['emoji, joiners of scripts and tabs', `${run}\n\t// 👩‍👩‍👧 ❤️ می‌خواهم`, 'javascript'],
    ['top-level await', `await null; ${run}`, 'javascript'],
    ['exactly 200,000 bytes', `${run}//${'x'.repeat(200_000 - run.length - 2)}`, 'javascript'],
  ])('takes %s', async (_, source, language) => {
    const { ast, findings } = await parse(source, language);
    expect(findings).toEqual([]);
    expect(ast?.type).toBe('File');
  });

  it('names the line and column of an error', async () => {
    const { findings } = await parse('export default function run() {\n  return { a: 1;\n}\n');
    expect(findings).toMatchObject([{ rule: 'syntax', severity: 'error', where: 'code', line: 2, column: 16 }]);
    expect(findings[0]?.message).toMatch(/^line 2: /);
  });

  it('gives several errors at once, as a bounded list', async () => {
    const two = await parse(`let a; let a;\nlet b; let b;\n${run}`);
    expect(two.findings.map(({ line }) => line)).toEqual([1, 2]);
    const many = await parse(`${'let a;'.repeat(1_000)}${run}`);
    expect(many.findings.length).toBe(20);
  });

  it.each([
    ['a type', 'export default (x: number) => x;'],
    ['an interface', `interface A { b: string }\n${run}`],
  ])('says of JavaScript with %s that it may be TypeScript', async (_, source) => {
    const { findings } = await parse(source);
    expect(findings[0]).toMatchObject({ rule: 'syntax', remedy: expect.stringContaining('language: typescript') });
  });

  it.each([
    ['JSX', 'export default () => <a></a>;'],
    ['a decorator', `@a class B {}\n${run}`],
    ['the pipe proposal', 'export default (x) => x |> f(%);'],
    ['a script’s with', `with ({}) {}\n${run}`],
    ['an octal number', `const a = 010;\n${run}`],
    ['an unfinished text', `const a = 'b;\n${run}`],
    ['not even words', '\\\\((('],
  ])('refuses %s', async (_, source) => {
    expect(new Set(await rulesOf(source))).toEqual(new Set(['syntax']));
  });

  it('does not advise TypeScript to one who said it', async () => {
    const [finding] = (await parse('export default (', 'typescript')).findings;
    expect(finding).toMatchObject({ rule: 'syntax', remedy: 'Correct the syntax.' });
  });

  it.each([
    ['in ASCII', `${run}//${'x'.repeat(200_000 - run.length - 1)}`],
    ['in bytes, not in characters', `${run}//${'€'.repeat(70_000)}`],
  ])('refuses more than 200,000 bytes %s', async (_, source) => {
    expect(await rulesOf(source)).toEqual(['code_too_large']);
  });

  it.each<[string, string, Language]>([
    ['brackets', `export default () => ${'['.repeat(60_000)}${']'.repeat(60_000)};`, 'javascript'],
    ['blocks', `export default () => {${'{'.repeat(60_000)}${'}'.repeat(60_000)}};`, 'javascript'],
    ['types', `type A = ${'['.repeat(60_000)}1${']'.repeat(60_000)};${run}`, 'typescript'],
  ])('refuses %s nested 60,000 deep, without harm', async (_, source, language) => {
    expect(await rulesOf(source, language)).toEqual(['code_too_deep']);
  });

  it('gives up source that takes the parser exponential time', async () => {
    const nested = `${'<T>('.repeat(26)}x${')'.repeat(26)}`;
    const started = performance.now();
    expect(await rulesOf(`export default (x) => ${nested};`, 'typescript')).toEqual(['code_too_complex']);
    expect(performance.now() - started).toBeLessThan(8_000);
  });
});

describe('what a reader of source cannot see', () => {
  it.each([
    ['a direction override in a comment', '\u202e', 'U+202E (direction control)'],
    ['a direction isolate', '\u2066', 'U+2066 (direction control)'],
    ['a zero-width space', '\u200b', 'U+200B (invisible character)'],
    ['a byte order mark', '\ufeff', 'U+FEFF (invisible character)'],
    ['a tag character', '\u{e0041}', 'U+E0041 (tag character)'],
    ['a null', '\0', 'U+0000 (control character)'],
    ['an escape', '\x1b', 'U+001B (control character)'],
    ['half of a surrogate pair', '\ud800', 'U+D800 (half of a surrogate pair)'],
    ['a line separator', '\u2028', 'U+2028'],
  ])('is refused with its place: %s', async (_, character, described) => {
    const { findings } = await parse(`${run}\n/* a${character}b */`);
    expect(findings).toMatchObject([
      { rule: 'hidden_character', severity: 'error', where: 'code', line: 2, column: 5 },
    ]);
    expect(findings[0]?.message).toContain(described);
    expect(findings[0]?.remedy).toContain('escape');
    expect(JSON.stringify(findings)).not.toContain(character);
  });

  it('is refused inside of texts too, where an escape says the same', async () => {
    expect(await rulesOf(`const a = '\u202e'; ${run}`)).toEqual(['hidden_character']);
    expect(await rulesOf(`const a = '\\u202e'; ${run}`)).toEqual([]);
  });

  it('is a bounded list', async () => {
    expect((await rulesOf(`${run}//${'\u200b'.repeat(5_000)}`)).length).toBe(20);
  });
});
