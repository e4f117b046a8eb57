import { afterAll, expect, test } from 'vitest';
import { openQuickJs } from '../../src/sandbox/quickjs.ts';
import { brief, endOf, gate, jobOf, openSandbox, runnerOf } from '../sandbox/jobs.ts';

const sandbox = openQuickJs({ threads: 2 });
afterAll(() => sandbox.close());
const run = runnerOf(() => sandbox);

const spins = [
  'spin_sync',
  'spin_microtasks',
  'spin_catches',
  'spin_finally',
  'spin_executor',
  'spin_getter',
  'spin_to_json',
  'spin_regex',
  'spin_at_load',
  'recurse_catches',
];

test.each(spins)('%s is ended by its limit of computing time, and the next call is answered', async (name) => {
  const result = await run(name, { limits: brief });
  expect(endOf(result)).toBe('limit_exceeded cpu');
  expect(result.usage.cpuMs).toBeGreaterThanOrEqual(59);
  expect(result.usage.cpuMs).toBeLessThan(5_000);
  expect(endOf(await run('doubles', { input: { x: 2 } }))).toEqual({ y: 4 });
});

test('a program that catches its interruption does not cost the thread: a job that waits on it goes on', async () => {
  const one = openSandbox(1);
  const { opened, open } = gate();
  const waiter = one.run(jobOf('waits', { callTool: () => opened.then(() => 'answered') }));
  for (const name of ['spin_executor', 'spin_catches', 'spin_finally']) {
    expect(endOf(await one.run(jobOf(name, { limits: brief }))), name).toBe('limit_exceeded cpu');
  }
  open();
  expect(endOf(await waiter)).toBe('answered');
});

test('a built-in that cannot be interrupted is ended with its thread; jobs that had called nothing begin again', async () => {
  const one = openSandbox(1);
  const spinners = [1, 2].map(() => one.run(jobOf('spin_native', { limits: brief })));
  const others = Array.from({ length: 20 }, (_, x) => one.run(jobOf('doubles', { input: { x } })));
  for (const spinner of spinners) expect(endOf(await spinner)).toBe('limit_exceeded cpu');
  expect((await Promise.all(others)).map(endOf)).toEqual(Array.from({ length: 20 }, (_, x) => ({ y: x * 2 })));
});

test('a job that had called a tool when its thread was ended fails, and says that it cannot simply be repeated', async () => {
  const one = openSandbox(1);
  const called = gate();
  const callTool = () => {
    called.open();
    return new Promise(() => {});
  };
  const waiter = one.run(jobOf('waits', { callTool }));
  await called.opened;
  expect(endOf(await one.run(jobOf('spin_native', { limits: brief })))).toBe('limit_exceeded cpu');
  expect(await waiter).toMatchObject({ ok: false, error: { code: 'unavailable', details: { retryable: false } } });
});

test('while one thread spins, jobs go to the other', async () => {
  const two = openSandbox(2);
  const controller = new AbortController();
  const called = gate();
  const callTool = async () => called.open();
  const spinner = two.run(jobOf('spin_after_call', { callTool, signal: controller.signal, limits: { cpuMs: 14_000 } }));
  await called.opened;
  await new Promise((resolve) => setTimeout(resolve, 200));
  const others = await Promise.all(Array.from({ length: 28 }, (_, x) => two.run(jobOf('doubles', { input: { x } }))));
  expect(others.map(endOf)).toEqual(others.map((_, x) => ({ y: x * 2 })));
  controller.abort();
  expect(endOf(await spinner)).toBe('cancelled');
});

test('time spent waiting for a tool is no computing time; the pieces in between add up', async () => {
  const result = await run('spin_after_tool', { limits: { cpuMs: 400 } });
  expect(endOf(result)).toBe('limit_exceeded cpu');
  expect(result.usage.hostCalls).toBeGreaterThan(1);
  const callTool = () => new Promise((resolve) => setTimeout(() => resolve('late'), 500));
  const waited = await run('waits', { callTool });
  expect(endOf(waited)).toBe('late');
  expect(waited.usage.wallMs).toBeGreaterThanOrEqual(499);
  expect(waited.usage.cpuMs).toBeLessThan(waited.usage.wallMs - 400);
});

test('code stops computing when the time for the whole call is over, whatever its computing time', async () => {
  const one = openSandbox(1);
  // Started before, so that the short time is not spent on that.
  expect((await one.run(jobOf('doubles'))).ok).toBe(true);
  const limits = { wallMs: 300, cpuMs: 20_000 };
  expect(endOf(await one.run(jobOf('spin_sync', { limits })))).toBe('limit_exceeded wall');
  expect(endOf(await one.run(jobOf('doubles', { input: { x: 1 }, limits: { wallMs: 5_000 } })))).toEqual({ y: 2 });
});
