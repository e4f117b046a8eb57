import { isDeepStrictEqual } from 'node:util';
import { expect, test } from 'vitest';
import { testApp } from '../helpers/app.ts';
import { endOf, gate, jobOf, openSandbox, until } from '../sandbox/jobs.ts';

test('a burst of 600 quick calls waits its turn, and all are answered', async () => {
  const one = openSandbox(2);
  const jobs = Array.from({ length: 600 }, (_, x) => one.run(jobOf('doubles', { input: { x } })));
  expect((await Promise.all(jobs)).map(endOf)).toEqual(jobs.map((_, x) => ({ y: x * 2 })));
});

test('beyond 2,000 calls that wait for a place the next is refused as busy, and may be tried again', async () => {
  const one = openSandbox(1);
  const jobs = Array.from({ length: 2_100 }, (_, x) => one.run(jobOf('doubles', { input: { x } })));
  const results = await Promise.all(jobs);
  const refused = results.filter((result) => !result.ok);
  expect(refused.length).toBeGreaterThan(50);
  expect(refused.length).toBeLessThanOrEqual(100);
  expect(refused[0]).toMatchObject({ error: { code: 'busy', details: { retryable: true } } });
});

test('calls with large inputs that wait for a place are refused before they fill the memory', async () => {
  const one = openSandbox(1);
  const controller = new AbortController();
  const spinners = Array.from({ length: 16 }, () =>
    one.run(jobOf('spin_sync', { signal: controller.signal, limits: { cpuMs: 1_000 } })),
  );
  const input = { x: 1, text: 'x'.repeat(7_000_000) };
  const large = Array.from({ length: 14 }, () => one.run(jobOf('doubles', { input, signal: controller.signal })));
  const results = await Promise.all(large.slice(10));
  expect(results.map(endOf)).toEqual(Array(4).fill('busy'));
  controller.abort();
  expect(new Set((await Promise.all([...spinners, ...large.slice(0, 10)])).map(endOf))).toEqual(new Set(['cancelled']));
});

test('a call that got no place in its time is busy, not too slow', async () => {
  const one = openSandbox(1);
  for (let i = 0; i < 16; i++) void one.run(jobOf('spin_sync', { limits: { cpuMs: 1_000 } }));
  const late = await one.run(jobOf('doubles', { input: { x: 1 }, limits: { wallMs: 200 } }));
  expect(late).toMatchObject({ ok: false, error: { code: 'busy', details: { retryable: true } } });
});

test('256 calls may wait for tools; the next is busy, and quick ones go on beside them', async () => {
  const one = openSandbox(2);
  const { opened, open } = gate();
  let waiting = 0;
  const callTool = () => {
    waiting++;
    return opened.then(() => 'done');
  };
  const jobs = Array.from({ length: 256 }, () => one.run(jobOf('waits', { callTool })));
  expect(await until(() => waiting === 256, 10_000)).toBe(true);
  const next = await one.run(jobOf('waits', { callTool }));
  expect(next).toMatchObject({ ok: false, error: { code: 'busy', details: { retryable: true } } });
  expect(waiting).toBe(256);
  for (let x = 0; x < 20; x++) expect(endOf(await one.run(jobOf('doubles', { input: { x } })))).toEqual({ y: x * 2 });
  open();
  expect(new Set((await Promise.all(jobs)).map(endOf))).toEqual(new Set(['done']));
  expect(endOf(await one.run(jobOf('waits', { callTool })))).toBe('done');
});

const anything = { type: 'object' };

test('32 skills that each call 32 skills are all answered', async () => {
  const app = await testApp();
  const example = { input: { x: 1 }, output: { y: 1 } };
  const skill = (name: string, code: string) =>
    app.save({
      name,
      code,
      description: `Is ${name}.`,
      input_schema: anything,
      output_schema: anything,
      examples: [example],
    });
  await skill('leaf', 'export default async ({ x }) => ({ y: x });');
  await skill(
    'branch',
    `export default async function run({ x, times = 1 }, ctx) {
      const parts = await Promise.all(Array.from({ length: times }, () => ctx.tools.leaf({ x })));
      return { y: parts.reduce((sum, { y }) => sum + y, 0) / times };
    }`,
  );
  const outcomes = await Promise.all(Array.from({ length: 32 }, (_, x) => app.outcome('branch', { x, times: 32 })));
  expect(outcomes).toEqual(outcomes.map((_, x) => ({ status: 'done', value: { y: x } })));
}, 20_000);

test('more chains of calls than may wait are answered or busy, and none hangs', async () => {
  const one = openSandbox(2);
  const call = async (level: number, x: number): Promise<unknown> => {
    if (level === 2) return { y: x };
    const result = await one.run(jobOf('waits', { input: { x }, callTool: () => call(level + 1, x) }));
    if (!result.ok) throw result.error;
    return result.value;
  };
  const chains = await Promise.allSettled(Array.from({ length: 270 }, (_, x) => call(0, x)));
  const ends = chains.map((chain, x) => {
    if (chain.status === 'fulfilled') return isDeepStrictEqual(chain.value, { y: x }) ? 'right' : 'wrong';
    return /\bbusy\b/.test(`${chain.reason.code} ${chain.reason.message}`) ? 'busy' : chain.reason.message;
  });
  expect(new Set(ends)).toEqual(new Set(['right', 'busy']));
  expect(await call(0, 5)).toEqual({ y: 5 });
});
