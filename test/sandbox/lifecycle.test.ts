import { afterAll, expect, test } from 'vitest';
import { defaultLimits } from '../../src/sandbox/sandbox.ts';
import {
  endOf,
  engine,
  gate,
  hasProc,
  isAlive,
  jobOf,
  newSandboxPid,
  openEngine,
  openSandbox,
  runnerOf,
  sandboxPids,
  testOfQuickJs,
  until,
} from './jobs.ts';

const sandbox = openEngine();
afterAll(() => sandbox.close());
const run = runnerOf(() => sandbox);

test('an abort ends a job that computes, and frees its caller at once', async () => {
  const controller = new AbortController();
  const job = run('spin_sync', { signal: controller.signal, limits: { cpuMs: 1_000 } });
  setTimeout(() => controller.abort(), 50);
  const result = await job;
  expect(endOf(result)).toBe('cancelled');
  expect(result.usage.wallMs).toBeLessThan(900);
});

test('an abort frees the thread too: the next job does not wait for the time that the first had left', async () => {
  const one = openSandbox(1);
  await one.run(jobOf('doubles'));
  const controller = new AbortController();
  const spinning = one.run(
    jobOf('spin_sync', { signal: controller.signal, limits: { cpuMs: 60_000, wallMs: 60_000 } }),
  );
  setTimeout(() => controller.abort(), 100);
  expect(endOf(await spinning)).toBe('cancelled');
  expect((await one.run(jobOf('doubles', { limits: { wallMs: 10_000 } }))).ok).toBe(true);
});

test('an abort ends a job that waits for a tool, and tells the tool', async () => {
  const controller = new AbortController();
  const signals: AbortSignal[] = [];
  const callTool = (_name: string, _input: unknown, signal: AbortSignal) => {
    signals.push(signal);
    setTimeout(() => controller.abort(), 10);
    return new Promise(() => {});
  };
  expect(endOf(await run('waits', { signal: controller.signal, callTool }))).toBe('cancelled');
  expect(signals.map((signal) => signal.aborted)).toEqual([true]);
});

test('an abort before the start runs nothing', async () => {
  expect(endOf(await run('waits', { signal: AbortSignal.abort(), callTool: shouldNotRun }))).toBe('cancelled');
});

const shouldNotRun = () => Promise.reject(new Error('ran'));

test('jobs that were aborted at any moment leave no place taken', async () => {
  const one = openSandbox(1);
  // More than there are places, each of a program that has yet to be loaded or whose engine has yet to be made.
  for (let round = 0; round < 4; round++) {
    const jobs = Array.from({ length: 60 }, (_, i) => {
      const controller = new AbortController();
      const job = one.run(jobOf(i % 2 ? 'waits' : 'counts', { signal: controller.signal }));
      setTimeout(() => controller.abort(), i % 12);
      return job;
    });
    for (const result of await Promise.all(jobs)) if (!result.ok) expect(endOf(result)).toBe('cancelled');
  }
  const after = await Promise.all(
    Array.from({ length: 100 }, (_, x) => one.run(jobOf('doubles', { input: { x }, limits: { wallMs: 4_000 } }))),
  );
  expect(after.filter((result) => !result.ok).map(endOf)).toEqual([]);
});

testOfQuickJs(
  'close ends jobs that compute, wait for a tool or wait for a place as cancelled, and nothing runs after it',
  async () => {
    const one = openSandbox(1);
    const jobs = [
      ...Array.from({ length: 3 }, () => one.run(jobOf('spin_sync', { limits: { cpuMs: 5_000 } }))),
      ...Array.from({ length: 3 }, () => one.run(jobOf('waits', { callTool: () => new Promise(() => {}) }))),
      ...Array.from({ length: 100 }, (_, x) => one.run(jobOf('doubles', { input: { x } }))),
    ];
    await new Promise((resolve) => setTimeout(resolve, 50));
    const before = hasProc ? sandboxPids() : [];
    await one.close();
    expect(new Set((await Promise.all(jobs)).map(endOf))).toEqual(new Set(['cancelled']));
    if (hasProc) {
      expect(before.length).toBeGreaterThan(0);
      const [first] = before.filter((pid) => !isAlive(pid));
      expect(first).toBeDefined();
      expect(sandboxPids().length).toBe(before.length - 1);
    }
    expect(endOf(await one.run(jobOf('doubles')))).toBe('cancelled');
    await one.close();
  },
);

test('close of a sandbox that never ran anything does nothing', async () => {
  const one = openEngine();
  await one.close();
  await one.close();
});

test('an input that is no JSON, or too large, is refused without a throw', async () => {
  const ring: Record<string, unknown> = {};
  ring.ring = ring;
  let deep: unknown = {};
  for (let i = 0; i < 200_000; i++) deep = { deep };
  for (const input of [ring, 5n, deep, 'x'.repeat(8_000_001), '"'.repeat(4_000_001)]) {
    expect(endOf(await run('doubles', { input }))).toBe('bad_input');
  }
  for (const text of ['x'.repeat(7_900_000), '"'.repeat(3_900_000)])
    expect(endOf(await run('doubles', { input: { x: 1, text } }))).toEqual({ y: 2 });
});

test('a wall limit beyond what timers can hold is no limit of a millisecond', async () => {
  expect(endOf(await run('waits', { limits: { wallMs: 2 ** 40 }, input: { a: 1 } }))).toEqual({ a: 1 });
});

test.skipIf(!hasProc || engine !== 'quickjs')(
  'when the child is killed, jobs that had called nothing succeed, the others fail (needs /proc)',
  async () => {
    const before = sandboxPids();
    const one = openSandbox(2);
    const { opened, open } = gate();
    let calls = 0;
    const callTool = () => {
      calls++;
      return opened;
    };
    const waiting = Array.from({ length: 10 }, () => one.run(jobOf('waits', { callTool })));
    expect(await until(() => calls === 10)).toBe(true);
    const busy = Array.from({ length: 2 }, () => one.run(jobOf('spin_sync', { limits: { cpuMs: 200 } })));
    const pure = Array.from({ length: 60 }, (_, x) => one.run(jobOf('doubles', { input: { x } })));
    process.kill(newSandboxPid(before), 'SIGKILL');
    for (const result of await Promise.all(waiting)) {
      expect(result).toMatchObject({ ok: false, error: { code: 'unavailable', details: { retryable: false } } });
    }
    open();
    expect((await Promise.all(pure)).map(endOf)).toEqual(Array.from({ length: 60 }, (_, x) => ({ y: x * 2 })));
    expect((await Promise.all(busy)).map(endOf)).toEqual(['limit_exceeded cpu', 'limit_exceeded cpu']);
  },
);

test.skipIf(!hasProc || engine !== 'quickjs')(
  'a job that loses its child twice fails as one that may be tried again (needs /proc)',
  async () => {
    const before = sandboxPids();
    const one = openSandbox(1);
    const job = one.run(jobOf('spin_sync', { limits: { cpuMs: 8_000 } }));
    const killed = new Set<number>();
    const kill = () => {
      for (const pid of sandboxPids()) {
        if (before.includes(pid) || killed.has(pid)) continue;
        killed.add(pid);
        process.kill(pid, 'SIGKILL');
      }
      return killed.size === 2;
    };
    expect(await until(kill)).toBe(true);
    expect(await job).toMatchObject({ ok: false, error: { code: 'unavailable', details: { retryable: true } } });
    expect(endOf(await one.run(jobOf('doubles', { input: { x: 1 } })))).toEqual({ y: 2 });
  },
);

test('the limits that skills have are the ones that the documentation names', () => {
  expect(defaultLimits).toEqual({
    wallMs: 30_000,
    cpuMs: 2_000,
    memoryMb: 64,
    outputBytes: 1_000_000,
    logBytes: 64_000,
    hostCalls: 1_000,
    hostCallsAtOnce: 32,
  });
});
