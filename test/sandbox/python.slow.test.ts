import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WeaverError } from '../../src/errors.ts';
import type { JobResult, Sandbox } from '../../src/sandbox/sandbox.ts';
import { needsPython } from '../helpers/python.ts';
import { brief, endOf, gate, type JobFields, messageOf, until } from './jobs.ts';
import { openEngine, openSandbox, runIn } from './python-jobs.ts';

describe.skipIf(needsPython !== '')(`the engine python${needsPython}`, () => {
  let sandbox: Sandbox;
  beforeAll(() => {
    sandbox = openEngine();
  });
  afterAll(() => sandbox.close());
  const run = (name: string, fields?: JobFields): Promise<JobResult> => runIn(sandbox, name, fields);

  test('answers what its program returns', async () => {
    expect(endOf(await run('doubles', { input: { x: 21 } }))).toEqual({ y: 42 });
    expect(sandbox.engine).toBe('python');
  });

  test.each([
    ['nothing', null],
    ['tuple', [1, ['a', true]]],
    ['keys', { '2': 'two', null: 'none', true: 'yes' }],
    ['float', 1],
    ['text', 'é\u{1f600}\u2028'],
    ['surrogate', '\ud800'],
    ['large_double', 1e20],
    ['long_digits', '12345678901234567890'],
  ])('%s is answered as JSON has it', async (what, value) => {
    expect(await run('returns', { input: { what } })).toMatchObject({ ok: true, value });
  });

  test.each([
    ['nan', 'Out of range float'],
    ['infinity', 'Out of range float'],
    ['bytes', 'type bytes'],
    ['set', 'type set'],
    ['cycle', 'Circular'],
    ['function', 'type function'],
    ['generator', 'type generator'],
    ['date', 'type date'],
    ['decimal', 'type Decimal'],
    ['tuple_key', 'not tuple'],
    ['large_integer', '9007199254740993 is larger than JSON numbers are exact'],
    ['huge_integer', 'too large'],
    ['endless_integer', '4300'],
  ])('%s is bad_output, with the reason', async (what, reason) => {
    const result = await run('returns', { input: { what } });
    expect(endOf(result)).toBe('bad_output');
    expect(messageOf(result)).toContain(reason);
  });

  test.each(['list', 'dict'])('an answer (%s) may nest 64 deep and no deeper', async (kind) => {
    expect((await run('returns_deep', { input: { depth: 64, kind } })).ok).toBe(true);
    expect(endOf(await run('returns_deep', { input: { depth: 65, kind } }))).toBe('limit_exceeded depth');
    expect(endOf(await run('returns_deep', { input: { depth: 200_000, kind } }))).toBe('limit_exceeded depth');
  });

  test.each([
    [{ length: 999_998 }, 'a value'],
    [{ length: 999_999 }, 'limit_exceeded output'],
    [{ length: 20_000_000 }, 'limit_exceeded output'],
    [{ length: 200_000_000 }, 'limit_exceeded memory'],
    [{ length: 499_999, text: 'é' }, 'a value'],
    [{ length: 500_000, text: 'é' }, 'limit_exceeded output'],
  ])('an answer is measured in bytes of JSON: %o gives %s', async (input, expected) => {
    const result = await run('returns_long', { input });
    expect(result.ok ? 'a value' : endOf(result)).toBe(expected);
  });

  test('a wide answer is no deep one', async () => {
    expect((await run('returns', { input: { what: 'wide' } })).ok).toBe(true);
  });

  test('what is printed, logged or written to stderr is a line of the log, also before a failure', async () => {
    const lines = ["one 2 {'three': 3}", 'no break', 'from ctx None', 'to stderr', 'to the first stdout'];
    const expected = [...lines, 'WARNING:root:a warning', 'unfinished'];
    expect((await run('logs')).logs).toEqual(expected);
    const failed = await run('logs', { input: { fail: true } });
    expect([endOf(failed), failed.logs]).toEqual(['skill_failed', expected]);
  });

  test('logs are cut at 64,000 bytes', async () => {
    const flood = await run('logs_for_ever', { input: { lines: 20_000 } });
    expect(endOf(flood)).toBe('logged');
    expect(flood.logs.join('\n').length).toBeLessThan(65_000);
    expect(flood.logs.length).toBeGreaterThan(1_000);
    const long = await run('logs_for_ever', { input: { lines: 3, length: 1e6 } });
    expect(long.logs.map((line) => line.length)).toEqual([64_000]);
  });

  test('a flood of progress reaches the listener as a trickle whose last drop is the last', async () => {
    const heard: unknown[] = [];
    const result = await run('tells_progress', { input: { times: 5_000 }, progress: (one) => heard.push(one) });
    expect(endOf(result)).toBe('told');
    expect(heard.length).toBeLessThan(102 + result.usage.wallMs / 45);
    expect(heard.at(-1)).toEqual({ done: 5_000, total: 5_000, message: 'step 5000' });
  });

  test('a plain function waits for its tools; its threads may wait at once', async () => {
    const at_once = Array.from({ length: 16 }, (_, i) => i);
    expect(endOf(await run('calls'))).toEqual([
      { a: 1, b: [2] },
      { c: 3 },
      { d: 4, e: 5 },
      {},
      { f: 6 },
      { g: 7 },
      at_once,
    ]);
  });

  test('an async function awaits its tools, one after the other or at once', async () => {
    const all = Array.from({ length: 16 }, (_, i) => i);
    expect(endOf(await run('calls_awaited'))).toEqual([{ a: 1 }, all, { b: 2 }]);
  });

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

  test('calls still under way when the answer comes are told to stop', async () => {
    const signals: AbortSignal[] = [];
    const callTool: JobFields['callTool'] = (_name, _input, signal) => {
      signals.push(signal);
      return new Promise(() => {});
    };
    expect(endOf(await run('calls_and_leaves', { callTool }))).toBe('gone');
    expect(await until(() => signals.length === 2 && signals.every((signal) => signal.aborted))).toBe(true);
  });

  test.each([
    ['huge', 'limit_exceeded output'],
    ['deep', 'limit_exceeded depth'],
    ['rather_deep', 'limit_exceeded depth'],
    ['function', { name: 'TypeError', message: expect.stringContaining('the input of echo is not JSON') }],
    ['nan', { name: 'TypeError', message: expect.stringContaining('Out of range') }],
    ['large_integer', { name: 'TypeError', message: expect.stringContaining('larger than JSON numbers') }],
    ['nothing', {}],
  ])('a tool called with %s ends as it should', async (what, expected) => {
    expect(endOf(await run('calls_with', { input: { what } }))).toEqual(expected);
  });

  test('a failed tool is an error that the code can catch, with its code and without the cause', async () => {
    expect(endOf(await run('catches_tool_error'))).toEqual({
      name: 'ToolError',
      tool: 'fails',
      code: 'internal',
      message: expect.stringMatching(/^fails: \[internal\] (?!.*secret)/),
    });
    const callTool = () => Promise.reject(new WeaverError('not_allowed', 'Not for you.'));
    expect(await run('waits', { callTool })).toMatchObject({
      error: { code: 'skill_failed', details: { name: 'ToolError', tool: 'wait', code: 'not_allowed', line: 2 } },
    });
  });

  const asked: [string, unknown][] = [];
  const host: JobFields['callTool'] = async (name, input) => {
    asked.push([name, input]);
    if (name === 'ctx.fetch') {
      const isFirst = (input as { url: string }).url.endsWith('/a');
      const body = isFirst ? { body: '{"é":1}', bodyEncoding: 'utf8' } : { body: 'AP8=', bodyEncoding: 'base64' };
      return { status: 201, statusText: 'Created', url: 'https://api.example.com/a', headers: { 'x-b': '2' }, ...body };
    }
    if (name === 'ctx.files.read') return (input as { as?: string }).as ? { base64: 'AAE=' } : { text: 'é' };
    if (name === 'ctx.files.list') return { files: [{ path: 'a.txt', size: 2 }] };
    return { removed: true };
  };

  test('requests and files are asked of the host, and bytes cross as base64', async () => {
    asked.length = 0;
    expect(endOf(await run('uses_host', { callTool: host }))).toEqual({
      page: [201, 'Created', 'https://api.example.com/a', { 'x-b': '2' }, true, { é: 1 }, '{"é":1}'],
      bytes: [0, 255],
      files: ['é', [0, 1], [{ path: 'a.txt', size: 2 }], true],
    });
    const post = { method: 'POST', headers: { 'x-a': '1' }, body: 'AP8=', bodyEncoding: 'base64' };
    expect(asked).toEqual([
      ['ctx.fetch', { url: 'https://api.example.com/a', init: post }],
      ['ctx.fetch', { url: 'https://api.example.com/b', init: { method: 'GET', body: 'text' } }],
      ['ctx.files.write', { path: 'a.txt', text: 'é' }],
      ['ctx.files.append', { path: 'a.bin', base64: 'AAE=' }],
      ['ctx.files.read', { path: 'a.txt' }],
      ['ctx.files.read', { path: 'a.bin', offset: 1, length: 2, as: 'base64' }],
      ['ctx.files.list', { folder: 'sub' }],
      ['ctx.files.remove', { path: 'a.txt' }],
    ]);
    expect(endOf(await run('awaits_host', { callTool: host }))).toEqual([{ é: 1 }, 'é', [{ path: 'a.txt', size: 2 }]]);
  });

  test.each([
    ['value', 'ValueError: no rows (line 12)'],
    ['key', "KeyError: 'missing' (line 14)"],
    ['odd', 'Odd: an error that cannot be shown (line 16)'],
    ['exit', 'SystemExit: leaving (line 18)'],
    ['base', 'Bare: bare (line 20)'],
    ['tool_error', 'ToolError: made by the program itself (line 22)'],
    ['library', '(line 24)'],
    ['syntax', 'SyntaxError'],
    ['assert', 'AssertionError: as it must be (line 32)'],
  ])('a raised %s becomes skill_failed with the line on which it happened', async (what, text) => {
    const result = await run('throws', { input: { what } });
    expect(endOf(result)).toBe('skill_failed');
    expect(messageOf(result)).toContain(text);
  });

  test('a long message is cut', async () => {
    expect(messageOf(await run('throws', { input: { what: 'long' } })).length).toBeLessThan(4_200);
  });

  test.each([
    ['does_not_parse', /^SyntaxError: .* \(line 3\)/],
    ['fails_at_load', /^ZeroDivisionError: division by zero \(line 3\)/],
    ['has_no_run', /there is no function run\(input, ctx\)/],
  ])('%s fails with a message that says why, each time', async (name, message) => {
    for (const _ of [1, 2]) {
      const result = await run(name);
      expect(endOf(result)).toBe('skill_failed');
      expect(messageOf(result)).toMatch(message);
    }
  });

  test.each(['loop', 'catches', 'regex', 'native', 'integer', 'tasks', 'threads', 'forged'])(
    'code that computes without end (%s) is ended at its limit',
    async (what) => {
      const result = await run('spins', { input: { what }, limits: { ...brief, wallMs: 8_000 } });
      expect(endOf(result)).toBe('limit_exceeded cpu');
      expect(result.usage.cpuMs).toBeLessThan(2_000);
    },
  );

  test('code that computes without end while it loads is ended at its limit', async () => {
    expect(endOf(await run('spins_at_load', { limits: brief }))).toBe('limit_exceeded cpu');
  });

  test('code that only waits is ended at its time, which is no computing', async () => {
    const result = await run('spins', { input: { what: 'sleeps' }, limits: { wallMs: 200 } });
    expect(endOf(result)).toBe('limit_exceeded wall');
    expect(result.usage.cpuMs).toBeLessThan(150);
  });

  test('a tool that never answers holds the job until its wall limit, and costs no computing time', async () => {
    const callTool = () => new Promise(() => {});
    const result = await run('waits', { callTool, limits: { ...brief, wallMs: 300 } });
    expect(endOf(result)).toBe('limit_exceeded wall');
  });

  test.each(['lists', 'texts', 'buffers', 'one', 'maps', 'private_maps', 'c_buffers'])(
    'memory taken without end (%s) is the limit of memory',
    async (what) => {
      const limits = { memoryMb: 32, cpuMs: 8_000 };
      expect(endOf(await run('heaps', { input: { what }, limits }))).toMatch(/^(limit_exceeded memory|OSError)$/);
    },
  );

  test.each(['memfd', 'shared_segments', 'shared_memory', 'tmp', 'dev_shm', 'root'])(
    "memory that is nobody's (%s) cannot be had",
    async (what) => {
      expect(endOf(await run('heaps', { input: { what } }))).toMatch(/(Permission|FileNotFound|OS)Error/);
    },
  );

  test.each(['pipes', 'threads'])('a thousand %s cannot be had', async (what) => {
    const ended = endOf(await run('heaps', { input: { what } }));
    expect(ended).not.toBe('all of it');
    expect((await run('doubles', { input: { x: 1 } })).ok).toBe(true);
  });

  test('code that catches MemoryError goes on within its memory', async () => {
    expect(endOf(await run('heap_catches', { limits: { memoryMb: 32 } }))).toBe('survived');
  });

  test('recursion without end is the limit of the stack, and harms only itself', async () => {
    expect(endOf(await run('recurses'))).toBe('limit_exceeded stack');
    // Without Python's own limit it is its memory that ends, which Python may tell as an error of its own.
    expect((await run('recurses', { input: { far: true } })).ok).toBe(false);
    expect((await run('doubles', { input: { x: 1 } })).ok).toBe(true);
  });

  test('an abort ends a job that computes or waits, at once', async () => {
    for (const [name, input] of [
      ['spins', { what: 'loop' }],
      ['waits', {}],
    ] as const) {
      const controller = new AbortController();
      const callTool = () => new Promise(() => {});
      const job = run(name, { input, callTool, signal: controller.signal, limits: { cpuMs: 10_000 } });
      setTimeout(() => controller.abort(), 50);
      const result = await job;
      expect(endOf(result)).toBe('cancelled');
      expect(result.usage.wallMs).toBeLessThan(2_000);
    }
  });

  test('close ends jobs that compute, wait for a tool or wait for a place as cancelled', async () => {
    const one = openSandbox();
    const jobs = [
      ...Array.from({ length: 3 }, () => runIn(one, 'spins', { input: { what: 'loop' }, limits: { cpuMs: 9_000 } })),
      ...Array.from({ length: 3 }, () => runIn(one, 'waits', { callTool: () => new Promise(() => {}) })),
      ...Array.from({ length: 20 }, (_, x) => runIn(one, 'doubles', { input: { x }, owner: String(x) })),
    ];
    await one.close();
    expect(new Set((await Promise.all(jobs)).map(endOf))).toEqual(new Set(['cancelled']));
    expect(endOf(await runIn(one, 'doubles'))).toBe('cancelled');
  });

  test('state that a call leaves meets only calls of the same program by the same owner', async () => {
    const one = openSandbox();
    const count = (who: string, owner: string) => runIn(one, 'counts', { input: { who }, owner });
    expect(endOf(await count('a', 'ada'))).toMatchObject({ count: 1, left: null });
    expect(endOf(await count('b', 'ada'))).toMatchObject({ count: 2, left: 'a' });
    expect(endOf(await count('c', 'bob'))).toMatchObject({ count: 1, left: null });
    expect(endOf(await count('d', 'ada'))).toMatchObject({ count: 3, left: 'b' });
  });

  test('a call has one time and one seed, and sets have the same order in every process', async () => {
    const fields = { now: 1_600_000_000_000, seed: 11 };
    const first = endOf(await run('tells_time', fields)) as Record<string, unknown>;
    expect(first.now).toBe(1_600_000_000_000);
    expect(endOf(await run('tells_time', { ...fields, owner: 'other' }))).toEqual(first);
    const other = endOf(await run('tells_time', { now: 5, seed: 12 })) as Record<string, unknown>;
    expect(other.now).toBe(5);
    expect(other.dice).not.toEqual(first.dice);
    expect(other.random).not.toEqual(first.random);
  });

  test.each(['thread', 'caller', 'task'])(
    'what goes on after the answer (%s) does so in no other call',
    async (what) => {
      for (const _ of [1, 2, 3]) expect(endOf(await run('leaves_behind', { input: { what } }))).toEqual([]);
    },
  );

  test('a process that computes after its answer is ended, whatever it told its runner', async () => {
    const one = openSandbox();
    expect(endOf(await runIn(one, 'hides_thread'))).toBe('answered');
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(endOf(await runIn(one, 'hides_thread'))).toBe('answered');
  });

  test.each([
    ['exit', 'unavailable'],
    ['kill', 'still here'],
    ['abort', 'limit_exceeded memory'],
    ['segfault', 'limit_exceeded memory'],
    ['exec', 'unavailable'],
  ])('a program that ends its process (%s) ends its own call, and no other', async (what, expected) => {
    const { opened, open } = gate();
    const neighbour = run('waits', { callTool: () => opened.then(() => 'fine') });
    expect(endOf(await run('ends', { input: { what } }))).toBe(expected);
    open();
    expect(endOf(await neighbour)).toBe('fine');
  });

  test.each([
    ['junk', 'unavailable'],
    ['null', 'unavailable'],
    ['number', 'honest'],
    ['flood', 'unavailable'],
    ['end', { forged: true }],
    ['other_end', 'honest'],
    ['end_without', 'unavailable'],
    ['odd_limit', 'unavailable'],
    ['odd_error', 'unavailable'],
    ['deep_end', 'limit_exceeded depth'],
    ['large_end', 'limit_exceeded output'],
    ['no_json_end', 'bad_output'],
    ['logs', 1],
    ['odd_call', 'unavailable'],
    ['call_without', 'unavailable'],
    ['call', 'honest'],
    ['call_of_other', 'honest'],
    ['progress', 'honest'],
    ['progress_flood', 'honest'],
    ['again', 'unavailable'],
    ['unknown', 'unavailable'],
  ])('forged frames (%s) act for no other call, and break nothing of the host', async (what, expected) => {
    const heard: unknown[] = [];
    const { opened, open } = gate();
    const neighbour = run('waits', { callTool: () => opened.then(() => 'fine') });
    const result = await run('forges', { input: { what }, progress: (one) => heard.push(one) });
    expect(endOf(result)).toEqual(expected);
    expect(heard.length).toBeLessThan(300);
    expect(heard.every((one) => (one as { done: unknown }).done === 1)).toBe(true);
    open();
    expect(endOf(await neighbour)).toBe('fine');
  });
});
