import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { WeaverError } from '../../src/errors.ts';
import {
  endOf,
  gate,
  type JobFields,
  jobOf,
  messageOf,
  openEngine,
  openSandbox,
  runnerOf,
  testOfQuickJs,
  until,
} from './jobs.ts';

const sandbox = openEngine();
afterAll(() => sandbox.close());
const run = runnerOf(() => sandbox);

test.each([
  ['calls_in_turn', 1_000, { count: 1_000, last: { i: 999 } }],
  ['calls_in_turn', 1_001, 'limit_exceeded host_calls'],
  ['calls_at_once', 32, { count: 32, last: { i: 31 } }],
  ['calls_at_once', 33, 'limit_exceeded host_calls'],
])('%s, %i times, ends as its limit says', async (name, times, expected) => {
  const result = await run(name, { input: { times } });
  expect(endOf(result)).toEqual(expected);
  expect(result.usage.hostCalls).toBe(times);
});

test('a program that never stops calling is stopped at the limit, not after all its computing time', async () => {
  let calls = 0;
  const result = await run('calls_for_ever', { callTool: async () => void calls++ });
  expect(endOf(result)).toBe('limit_exceeded host_calls');
  expect(calls).toBeLessThanOrEqual(32);
  expect(result.usage.cpuMs).toBeLessThan(2_000);
});

test('calls still under way when the answer comes are told to stop, and answer nobody', async () => {
  const signals: AbortSignal[] = [];
  const { opened, open } = gate();
  const callTool: JobFields['callTool'] = (_name, _input, signal) => {
    signals.push(signal);
    return opened;
  };
  const result = await run('calls_and_leaves', { callTool });
  expect(endOf(result)).toBe('gone');
  expect(await until(() => signals.length > 0 && signals.every((signal) => signal.aborted))).toBe(true);
  open();
  expect(endOf(await run('calls_in_turn', { input: { times: 3 } }))).toEqual({ count: 3, last: { i: 2 } });
});

test.each([
  ['huge', 'limit_exceeded output'],
  ['deep', 'limit_exceeded depth'],
  ['hidden_deep', 'limit_exceeded depth'],
  ['function', { name: 'TypeError', message: 'the input of echo is not JSON' }],
  ['bigint', { name: 'TypeError', message: expect.stringContaining('BigInt') }],
  ['cycle', { name: 'TypeError', message: expect.stringContaining('circular') }],
  ['nothing', {}],
])('a tool called with %s ends as it should', async (what, expected) => {
  expect(endOf(await run('calls_with', { input: { what } }))).toEqual(expected);
});

testOfQuickJs("a tool's name is cut before it leaves the sandbox, and its neighbours go on", async () => {
  const names: string[] = [];
  const { opened, open } = gate();
  const neighbour = run('waits', { callTool: () => opened.then(() => 'fine') });
  const callTool: JobFields['callTool'] = async (name) => void names.push(name);
  expect(endOf(await run('calls_by_name', { callTool }))).toBe(null);
  expect(names).toEqual(['x'.repeat(200)]);
  open();
  expect(endOf(await neighbour)).toBe('fine');
});

test('a failed tool is an error that the code can catch, with its code and without the cause', async () => {
  expect(endOf(await run('catches_tool_error'))).toEqual({
    name: 'ToolError',
    tool: 'fails',
    code: 'internal',
    message: expect.stringMatching(/^fails: \[internal\] (?!.*secret)/),
    is: true,
  });
  const busy = new WeaverError('busy', 'No place.', { hint: 'Wait.' });
  const result = await run('catches_tool_error', { callTool: () => Promise.reject(busy) });
  expect(endOf(result)).toMatchObject({ code: 'busy', message: 'fails: [busy] No place. Wait.' });
});

test('an error of a tool that the code does not catch says which tool it was', async () => {
  const callTool = () => Promise.reject(new WeaverError('not_allowed', 'Not for you.'));
  const result = await run('waits', { callTool });
  expect(result).toMatchObject({
    ok: false,
    error: { code: 'skill_failed', details: { name: 'ToolError', tool: 'wait', code: 'not_allowed' } },
  });
});

const deep = (levels: number): unknown => {
  let value: unknown = {};
  for (let i = 1; i < levels; i++) value = { value };
  return value;
};

test.each([
  ['nothing', undefined, { type: 'object', size: 4 }],
  ['2 MB', 'x'.repeat(2e6), { type: 'string', size: 2e6 + 2 }],
  ['64 levels', deep(64), { type: 'object', size: 632 }],
])('a tool may answer %s', async (_what, value, expected) => {
  expect(endOf(await run('asks', { callTool: async () => value }))).toEqual(expected);
});

test.each([
  ['65 levels', () => deep(65), 'limit_exceeded'],
  ['200,000 levels', () => deep(200_000), 'internal'],
  ['20 MB', () => 'x'.repeat(2e7), 'limit_exceeded'],
  ['10 MB of quotes', () => '"'.repeat(1e7), 'limit_exceeded'],
  ['what is no JSON', () => 5n, 'internal'],
  ['an error that is none', () => Promise.reject(null), 'internal'],
])('a tool that answers %s fails for the code, and nothing else does', async (_what, value, code) => {
  const { opened, open } = gate();
  const neighbour = run('waits', { callTool: () => opened.then(() => 'fine') });
  const result = await run('asks', { callTool: async () => value() });
  expect(result).toMatchObject({ ok: false, error: { code: 'skill_failed', details: { tool: 'answer', code } } });
  open();
  expect(endOf(await neighbour)).toBe('fine');
});

test('an answer that does not fit into the memory of the code is its limit of memory', async () => {
  const callTool = async () => 'x'.repeat(1.2e7);
  expect(endOf(await run('asks', { callTool, limits: { memoryMb: 8 } }))).toBe('limit_exceeded memory');
});

test('a tool that never answers holds the job until its wall limit, and no longer', async () => {
  const signals: AbortSignal[] = [];
  const callTool: JobFields['callTool'] = (_name, _input, signal) => {
    signals.push(signal);
    return new Promise(() => {});
  };
  const result = await run('waits', { callTool, limits: { wallMs: 200 } });
  expect(endOf(result)).toBe('limit_exceeded wall');
  expect(messageOf(result)).toContain('200 ms');
  expect(result.usage.wallMs).toBeGreaterThanOrEqual(199);
  expect(signals[0]?.aborted).toBe(true);
});

test('an answer that comes after the end is dropped', async () => {
  const one = openSandbox(1);
  const late = one.run(jobOf('waits', { callTool: () => sleep(200, 'late'), limits: { wallMs: 100 } }));
  expect(endOf(await late)).toBe('limit_exceeded wall');
  const next = one.run(jobOf('waits', { callTool: () => sleep(250, 'mine') }));
  expect(endOf(await next)).toBe('mine');
});
