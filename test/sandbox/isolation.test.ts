import { afterAll, expect, test } from 'vitest';
import { brief, endOf, jobOf, openEngine, openSandbox, runnerOf, testOfQuickJs } from './jobs.ts';

const sandbox = openEngine();
afterAll(() => sandbox.close());
const run = runnerOf(() => sandbox);

const clean = {
  polluted: null,
  marked: null,
  counter: null,
  toJSON: 'undefined',
  parse: 1,
  pushed: 2,
  call: 1,
  date: 'number',
  promise: 2,
};

testOfQuickJs('a program that breaks all around it harms only its own call', async () => {
  const one = openSandbox(1);
  const polluted = endOf(await one.run(jobOf('pollutes')));
  expect(polluted).toEqual({ answer: { before: true }, now: 1_700_000_000_123, again: { after: true } });
  expect(endOf(await one.run(jobOf('is_clean')))).toEqual(clean);
  expect(endOf(await one.run(jobOf('pollutes')))).toEqual(polluted);
});

testOfQuickJs('nothing is kept between calls of one program, one after the other or at once', async () => {
  for (let i = 0; i < 5; i++) expect(endOf(await run('counts'))).toEqual([1, 1, 1, 1, 1, 1]);
  const results = await Promise.all(Array.from({ length: 40 }, () => run('counts')));
  for (const result of results) expect(endOf(result)).toEqual([1, 1, 1, 1, 1, 1]);
  for (let i = 0; i < 3; i++) expect(endOf(await run('keeps_context'))).toBe(true);
});

testOfQuickJs('nothing is kept between programs that take turns in one thread', async () => {
  const one = openSandbox(1);
  for (let i = 0; i < 10; i++) {
    expect(endOf(await one.run(jobOf('counts')))).toEqual([1, 1, 1, 1, 1, 1]);
    expect(endOf(await one.run(jobOf('is_clean')))).toEqual(clean);
    await one.run(jobOf('tampers_to_json', { input: { answer: 'nothing' } }));
    await one.run(jobOf('pollutes'));
  }
});

testOfQuickJs('a call that failed leaves nothing to the next, whatever it failed of', async () => {
  const one = openSandbox(1);
  const fatal = ['heap_then_answers', 'spin_sync', 'recurse', 'calls_for_ever'];
  for (const name of fatal) {
    await one.run(jobOf(name, { limits: { ...brief, memoryMb: 3 } }));
    expect(endOf(await one.run(jobOf('is_clean'))), name).toEqual(clean);
    expect(endOf(await one.run(jobOf('counts'))), name).toEqual([1, 1, 1, 1, 1, 1]);
  }
});

testOfQuickJs('many calls at once of many programs do not see each other', async () => {
  const jobs = Array.from({ length: 120 }, (_, i) => {
    const text = `let mine = ${i % 30}; export default async (input, ctx) => {
      const seen = globalThis.seen; globalThis.seen = mine;
      await ctx.tools.wait({}); mine += input.add;
      return [seen ?? null, globalThis.seen, mine];
    };`;
    return { result: run(`program ${i % 30}`, { text, input: { add: i } }), expected: [null, i % 30, (i % 30) + i] };
  });
  for (const { result, expected } of jobs) expect(endOf(await result)).toEqual(expected);
});

testOfQuickJs('no door leads out: no process, module, network, timer, other engine or host function', async () => {
  const result = await run('reaches_out');
  expect(endOf(result)).toEqual({ found: [], here: 'object' });
});

testOfQuickJs('what stands around a program is the language and little more', async () => {
  const text = 'export default () => Object.getOwnPropertyNames(globalThis)';
  const names = endOf(await run('names', { text })) as string[];
  const known = [...Object.getOwnPropertyNames(globalThis), ...engineOnly];
  expect(names.filter((name) => !known.includes(name))).toEqual([]);
  expect(names).toEqual(expect.arrayContaining(['console', 'ToolError', 'queueMicrotask', 'Date']));
});

const engineOnly = [
  'AsyncDisposableStack',
  'DisposableStack',
  'DOMException',
  'Float16Array',
  'InternalError',
  'Iterator',
  'SuppressedError',
  'ToolError',
];

testOfQuickJs('the functions of the frames around a program cannot be had', async () => {
  expect(endOf(await run('reads_frames'))).toEqual({ found: [], stack: expect.any(String) });
});

test('a call has one time and one seed, whichever way they are asked for', async () => {
  const fields = { now: 1_600_000_000_000, seed: 11 };
  const first = endOf(await run('tells_time', fields)) as Record<string, number[]>;
  expect(first.early).toEqual(Array(5).fill(1_600_000_000_000));
  expect(first.late).toEqual(first.early);
  expect(first).toMatchObject({ zone: 0, constructor: true });
  expect(new Set(first.dice).size).toBe(3);
  expect(endOf(await run('tells_time', fields))).toEqual(first);
  const other = endOf(await run('tells_time', { now: 1_600_000_001_000, seed: 12 })) as Record<string, number[]>;
  expect(other.early).toEqual(Array(5).fill(1_600_000_001_000));
  for (const i of [0, 1, 2]) expect(other.dice?.[i]).not.toBe(first.dice?.[i]);
});
