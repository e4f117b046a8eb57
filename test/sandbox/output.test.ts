import { afterAll, expect, test } from 'vitest';
import { brief, endOf, messageOf, openEngine, runnerOf, testOfQuickJs } from './jobs.ts';

const sandbox = openEngine();
afterAll(() => sandbox.close());
const run = runnerOf(() => sandbox);

test.each([
  ['undefined', null],
  ['nan', { a: null, b: null, f: 0, g: [null] }],
  ['to_json_undefined', null],
  ['to_json_other', { other: true }],
  ['date', '1970-01-01T00:00:00.000Z'],
  ['map', {}],
  ['lone_surrogate', '\ud800'],
  ['thenable', 'from a thenable'],
  ['promise', 'from a promise'],
])('%s is answered as JSON has it', async (what, value) => {
  expect(await run('returns', { input: { what } })).toMatchObject({ ok: true, value });
});

test.each([
  ['function', 'a function is not JSON'],
  ['symbol', 'a symbol is not JSON'],
  ['bigint', 'BigInt'],
  ['inner_bigint', 'BigInt'],
  ['cycle', 'circular'],
  ['to_json_throws', 'no'],
  ['proxy', 'trap'],
])('%s is bad_output, with the reason', async (what, reason) => {
  const result = await run('returns', { input: { what } });
  expect(endOf(result)).toBe('bad_output');
  expect(messageOf(result)).toContain(reason);
});

test('a value that goes on making itself ends at a limit, and the next call is answered', async () => {
  expect(endOf(await run('returns', { input: { what: 'to_json_itself' }, limits: brief }))).toMatch(
    /^limit_exceeded (cpu|depth|stack)$/,
  );
  expect(endOf(await run('doubles', { input: { x: 2 } }))).toEqual({ y: 4 });
});

test('a key named __proto__ is data like any other', async () => {
  const result = await run('returns', { input: { what: 'proto_key' } });
  expect(result.ok && Object.keys(result.value as object)).toEqual(['__proto__', 'constructor']);
  expect('polluted' in {}).toBe(false);
});

test.each(['object', 'array', 'hidden'])('an answer (%s) may nest 64 deep and no deeper', async (kind) => {
  const levels = kind === 'hidden' ? 1 : 0;
  const deepest = await run('returns_deep', { input: { depth: 64 - levels, kind } });
  expect(deepest.ok).toBe(true);
  expect(endOf(await run('returns_deep', { input: { depth: 65 - levels, kind } }))).toBe('limit_exceeded depth');
});

test.each(['object', 'array'])('an answer (%s) 200,000 deep is too deep, at once', async (kind) => {
  const result = await run('returns_deep', { input: { depth: 200_000, kind } });
  expect(endOf(result)).toBe('limit_exceeded depth');
  expect(result.usage.cpuMs).toBeLessThan(2_000);
});

testOfQuickJs('one whose depth shows only behind its first key harms nobody either', async () => {
  const result = await run('returns_deep', { input: { depth: 200_000, kind: 'hidden' } });
  expect(endOf(result)).toMatch(/^limit_exceeded (depth|stack|cpu)$/);
  expect(endOf(await run('doubles', { input: { x: 2 } }))).toEqual({ y: 4 });
});

test.each([
  [{ length: 999_998 }, 'a value'],
  [{ length: 999_999 }, 'limit_exceeded output'],
  [{ length: 20_000_000 }, 'limit_exceeded output'],
  [{ length: 100_000_000 }, 'limit_exceeded memory'],
  [{ length: 499_999, text: 'é' }, 'a value'],
  [{ length: 500_000, text: 'é' }, 'limit_exceeded output'],
  [{ length: 400_000, text: '"""' }, 'limit_exceeded output'],
])('an answer is measured in bytes of JSON: %o gives %s', async (input, expected) => {
  const result = await run('returns_long', { input });
  expect(result.ok ? 'a value' : endOf(result)).toBe(expected);
});

test('a wide answer is no deep one', async () => {
  expect((await run('returns', { input: { what: 'wide' } })).ok).toBe(true);
});

test('logs are kept as text, and cut at 64,000 bytes', async () => {
  const odd = await run('logs_odd_things');
  expect(odd.logs).toEqual([
    expect.stringContaining('undefined null 5 Symbol(s) () => 1 [object Object] {"a":1} line\nbreak'),
    'from console',
  ]);
  const flood = await run('logs_for_ever', { input: { lines: 20_000 } });
  expect(endOf(flood)).toBe('logged');
  expect(flood.logs.join('\n').length).toBeLessThan(65_000);
  expect(flood.logs.length).toBeGreaterThan(1_000);
  const long = await run('logs_for_ever', { input: { lines: 3, length: 1e6 } });
  expect(long.logs.map((line) => line.length)).toEqual([64_000]);
});

test('what was logged before a failure is there after it', async () => {
  const result = await run('x', {
    text: 'export default (input, ctx) => { ctx.log("here"); throw new Error("there"); };',
  });
  expect([endOf(result), result.logs]).toEqual(['skill_failed', ['here']]);
});

test('a flood of progress reaches the listener as a trickle whose last drop is the last', async () => {
  const heard: unknown[] = [];
  const result = await run('tells_progress', {
    input: { times: 20_000 },
    progress: (one) => heard.push(one),
  });
  expect(endOf(result)).toBe('told');
  expect(heard.length).toBeLessThan(102 + result.usage.wallMs / 50);
  expect(heard.at(-1)).toEqual({ done: 20_000, total: 20_000, message: 'step 20000' });
});

test('progress that is none is not told; the rest is made what it should be', async () => {
  const heard: unknown[] = [];
  await run('tells_odd_progress', { progress: (one) => heard.push(one) });
  expect(heard).toEqual([{ done: 3, total: 4, message: 'm'.repeat(1_000) }]);
});

test('a listener that throws does not disturb the job', async () => {
  const progress = () => {
    throw new Error('listener');
  };
  expect(endOf(await run('tells_progress', { input: { times: 3 }, progress }))).toBe('told');
});
