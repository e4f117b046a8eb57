import { describe, expect, it } from 'vitest';
import { type Language, parseProgram } from '../../src/code/parse.ts';
import { readProgram } from '../../src/code/program.ts';

async function entryOf(source: string, language: Language = 'javascript') {
  const { ast } = await parseProgram(source, language);
  if (!ast) throw new Error('the source of a test does not parse');
  return (await readProgram(ast)).entry?.node;
}

describe('the function that a module exports', () => {
  it.each<[string, string, Language?]>([
    ['a declaration', 'export default function run(input) { return input; }'],
    ['without a name', 'export default async function (input) { return input; }'],
    ['an arrow', 'export default (input) => input;'],
    ['a function by its name', 'function run(input) { return input; }\nexport default run;'],
    ['a function declared further down', 'export default run;\nfunction run(input) { return input; }'],
    ['a constant that holds one', 'const run = async (input) => input;\nexport default run;'],
    ['a name exported as the default', 'const run = function (input) {};\nexport { run as default };'],
    ['a name exported as the text "default"', 'const run = (input) => input;\nexport { run as "default" };'],
    ['an arrow with its type', 'export default ((input) => input) satisfies Function;', 'typescript'],
    ['an arrow that is asserted', 'export default ((input) => input) as (input: unknown) => unknown;', 'typescript'],
    ['an arrow that is asserted the old way', 'export default <any>((input) => input);', 'typescript'],
  ])('is found: %s', async (_, source, language) => {
    expect((await entryOf(source, language))?.params).toHaveLength(1);
  });

  it.each([
    ['nothing is exported', 'function run(input) {}'],
    ['something else is', 'export function run(input) {}'],
    ['a class', 'export default class { run(input) {} }'],
    ['a value', 'export default { run(input) {} };'],
    ['what a call gives', 'export default wrap((input) => input);\nfunction wrap(f) { return f; }'],
    ['a variable that changes', 'let run = (input) => input;\nrun = (input) => ({});\nexport default run;'],
    ['a name of nothing', 'export default run;'],
    ['an empty module', ''],
  ])('is not found where nobody can tell: %s', async (_, source) => {
    expect(await entryOf(source)).toBeUndefined();
  });
});
