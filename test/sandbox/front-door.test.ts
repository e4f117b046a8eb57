import { expect, test } from 'vitest';
import { draft, testApp } from '../helpers/app.ts';
import { fixture } from './jobs.ts';

const anything = { type: 'object' };
const hostile = (name: string, input: unknown = {}) =>
  draft({
    name,
    description: `Tries what ${name} tries.`,
    code: fixture(name),
    input_schema: anything,
    output_schema: undefined,
    examples: [{ input, output: {} }],
  });

test('saving code that attacks runs it only in the sandbox: the save is refused with the reason, and the server answers', async () => {
  const client = await (await testApp()).as('ada');
  const attempts: [string, unknown, RegExp][] = [
    ['tampers_to_json', { answer: 'object', after: 'throw' }, /skill_failed.+mine/],
    ['heap_split', {}, /limit_exceeded.+64 MB/],
    ['heap_objects', {}, /limit_exceeded.+64 MB/],
    ['recurse', {}, /limit_exceeded.+too deeply/],
    ['returns_deep', { depth: 200_000 }, /limit_exceeded.+deeper than 64/],
    ['throws', { what: 'revoked' }, /skill_failed.+not an error/],
    ['never_settles', {}, /skill_failed.+never settles/],
  ];
  for (const [name, input, reason] of attempts) {
    const saved = await client.callTool({ name: 'save_skill', arguments: hostile(name, input) });
    expect(saved.isError, name).toBe(true);
    expect(JSON.stringify(saved), name).toMatch(reason);
    const listed = await client.callTool({ name: 'validate_skill', arguments: draft() });
    expect(listed.isError ?? false, name).toBe(false);
  }
}, 20_000);

test('while a saved skill spins, other calls go on, and its caller may stop waiting for it', async () => {
  const app = await testApp();
  const client = await app.as('ada');
  await app.save();
  await app.save({
    name: 'sometimes',
    description: 'Answers, or spins.',
    code: 'export default async ({ spin }) => { while (spin); return { y: 1 }; };',
    input_schema: { type: 'object', properties: { spin: { type: 'boolean' } } },
    examples: [{ input: {}, output: { y: 1 } }],
  });
  const controller = new AbortController();
  const { signal } = controller;
  const spinning = client.callTool({ name: 'sometimes', arguments: { spin: true } }, { signal });
  for (let x = 0; x < 20; x++) {
    const { structuredContent } = await client.callTool({ name: 'double', arguments: { x } });
    expect(structuredContent).toEqual({ y: x * 2 });
  }
  controller.abort();
  await expect(spinning).rejects.toThrow(/abort/i);
});

test('an error names the author’s line of a skill in TypeScript', async () => {
  const app = await testApp();
  const code = [
    'interface Input { x?: { y: number } }',
    '',
    'type Output = {',
    '  y: number;',
    '};',
    'export default async function run(input: Input): Promise<Output> {',
    '  return { y: input.x!.y };',
    '}',
  ].join('\n');
  await app.save({
    name: 'typed',
    description: 'Is typed.',
    code,
    language: 'typescript',
    input_schema: anything,
    examples: [{ input: { x: { y: 1 } }, output: { y: 1 } }],
  });
  const outcome = await app.outcome('typed', {});
  expect(outcome).toMatchObject({ status: 'failed', error: { code: 'skill_failed', details: { line: 7 } } });
});
