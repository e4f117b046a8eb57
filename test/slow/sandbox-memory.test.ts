import { afterAll, expect, test } from 'vitest';
import { openQuickJs } from '../../src/sandbox/quickjs.ts';
import {
  brief,
  endOf,
  gate,
  hasProc,
  jobOf,
  newSandboxPid,
  openSandbox,
  residentMb,
  runnerOf,
  sandboxPids,
  until,
} from '../sandbox/jobs.ts';

const sandbox = openQuickJs({ threads: 2 });
afterAll(() => sandbox.close());
const run = runnerOf(() => sandbox);

const bombs = [
  'heap_objects',
  'heap_strings',
  'heap_buffers',
  'heap_split',
  'heap_join',
  'heap_bigint',
  'heap_promises',
  'heap_then_answers',
  'heap_at_load',
];

test.each(bombs)('%s fails at its limit of memory, and the next call is answered', async (name) => {
  expect(endOf(await run(name, { limits: { memoryMb: 24 } }))).toBe('limit_exceeded memory');
  expect(endOf(await run('doubles', { input: { x: 2 } }))).toEqual({ y: 4 });
});

test('a program that fills its memory again and again is ended by its computing time', async () => {
  expect(endOf(await run('heap_catches', { limits: brief }))).toBe('limit_exceeded cpu');
});

test('recursion without end is a limit of its own', async () => {
  expect(endOf(await run('recurse'))).toBe('limit_exceeded stack');
});

test.each([
  [1, 'limit_exceeded memory'],
  [2, 'limit_exceeded memory'],
  [8, { y: 4 }],
  [200, { y: 4 }],
])('a limit of %i MB is one that the engine itself has to fit into', async (memoryMb, expected) => {
  expect(endOf(await run('doubles', { input: { x: 2 }, limits: { memoryMb } }))).toEqual(expected);
});

test('each job has its own limit of memory, also of the same program', async () => {
  const both = await Promise.all([64, 16].map((memoryMb) => run('big_image', { limits: { memoryMb } })));
  expect(both.map(endOf)).toEqual([4e7, 'limit_exceeded memory']);
});

test('jobs that hold much memory while they wait are refused at a bound, and the others go on', async () => {
  const one = openSandbox(1);
  const { opened, open } = gate();
  const jobs = Array.from({ length: 25 }, () => one.run(jobOf('heap_then_waits', { callTool: () => opened })));
  const refused: unknown[] = [];
  for (const job of jobs) void job.then((result) => refused.push(endOf(result)));
  expect(await until(() => refused.length >= 3, 12_000)).toBe(true);
  if (hasProc) for (const pid of sandboxPids()) expect(residentMb(pid)).toBeLessThan(1_700);
  expect(new Set(refused)).toEqual(new Set(['busy']));
  open();
  const ends = (await Promise.all(jobs)).map(endOf);
  expect(ends.filter((end) => end === 5e7).length).toBeGreaterThanOrEqual(15);
});

test.skipIf(!hasProc)('memory does not grow with the number of programs and bombs (needs /proc)', async () => {
  const before = sandboxPids();
  const one = openSandbox(1);
  for (let i = 0; i < 50; i++) await one.run(jobOf('doubles', { input: { x: i } }));
  const pid = newSandboxPid(before);
  const [child, server] = [residentMb(pid), residentMb(process.pid)];
  // Each holds 50 MB from its load on: kept without a bound they would be 350 MB, and as much once more in engines that
  // wait for the next call. The first is loaded once more, since its image is gone by then.
  for (const i of [0, 1, 2, 3, 4, 5, 6, 0]) {
    const text = `const held = new Uint8Array(5e7).fill(1); export default () => held.length + ${i};`;
    expect(endOf(await one.run(jobOf(`held ${i}`, { text })))).toBe(5e7 + i);
  }
  const bomb = jobOf('heap_buffers', { limits: { memoryMb: 8 } });
  for (let i = 0; i < 200; i += 4) await Promise.all([1, 2, 3, 4].map(() => one.run(bomb)));
  for (let i = 0; i < 100; i++) await one.run(jobOf('doubles', { input: { x: i } }));
  expect(residentMb(pid) - child).toBeLessThan(290);
  expect(residentMb(process.pid) - server).toBeLessThan(200);
});
