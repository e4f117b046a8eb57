import { afterAll, expect, test } from 'vitest';
import { endOf, fixture, jobOf, messageOf, openEngine, programOf, runnerOf, testOfQuickJs } from './jobs.ts';

const sandbox = openEngine();
afterAll(() => sandbox.close());
const run = runnerOf(() => sandbox);

test.each([
  ['string', 'Thrown: boo'],
  ['null', 'Thrown: null'],
  ['undefined', 'Thrown: undefined'],
  ['number', 'Thrown: 42'],
  ['bigint', 'Thrown: 5'],
  ['symbol', 'Thrown: Symbol(s)'],
  ['function', 'Thrown: () => 1'],
  ['array', 'Thrown: [1,2]'],
  ['object', 'Thrown: {"a":1}'],
  ['proxy', 'Thrown: an object that is not an error'],
  ['revoked', 'Thrown: an object that is not an error'],
  ['getters', 'Thrown: an object that is not an error'],
  ['message_getter', 'Error: from a getter (line'],
  ['message_object', '7: [object Object] (line'],
  ['frozen', 'TypeError: cold (line'],
  ['cause_ring', 'Error: ring (line'],
  ['aggregate', 'AggregateError: many (line'],
  ['tool_error', 'ToolError: made by the program itself (line'],
])('a thrown %s becomes skill_failed with what can be said of it', async (what, text) => {
  const result = await run('throws', { input: { what } });
  expect(endOf(result)).toBe('skill_failed');
  expect(messageOf(result)).toContain(text);
});

test('a long message is cut', async () => {
  const result = await run('throws', { input: { what: 'long' } });
  expect(messageOf(result).length).toBeLessThan(4_200);
});

test.each(['object', 'nothing', 'numbers', 'text', 'throws'])(
  'a program that tampers with toJSON (%s) changes neither its error nor anything of the host',
  async (answer) => {
    const failed = await run('tampers_to_json', { input: { answer, after: 'throw' } });
    expect([endOf(failed), messageOf(failed)]).toEqual([
      'skill_failed',
      expect.stringMatching(/^Error: mine \(line \d+\)/),
    ]);
    const heard: unknown[] = [];
    const told = await run('tampers_to_json', { input: { answer, after: 'tell' }, progress: (one) => heard.push(one) });
    expect([endOf(told), heard]).toEqual(['survived', [{ done: 1, total: 2, message: 'half' }]]);
    expect(endOf(await run('doubles', { input: { x: 2 } }))).toEqual({ y: 4 });
  },
);

test('an error names the line on which it happened', async () => {
  const result = await run('throws_on_line_7', { input: { rows: ['text'] } });
  expect(result).toMatchObject({ ok: false, error: { code: 'skill_failed', details: { name: 'TypeError', line: 3 } } });
  expect(messageOf(result)).toContain('(line 3)');
});

test('an error names the line of the author, where the program says which that is', async () => {
  const program = { ...programOf(fixture('throws_on_line_7')), lineOf: (line: number) => line + 100 };
  const result = await sandbox.run({ ...jobOf('throws_on_line_7'), input: { rows: ['text'] }, program });
  expect(result).toMatchObject({ error: { details: { line: 103 } } });
});

testOfQuickJs.each([
  ['does_not_parse', /^SyntaxError: .+ \(line [23]\)/],
  ['never_loads', /never finished loading/],
  ['never_settles', /never settles/],
])('%s fails with a message that says why, at once', async (name, message) => failsWith(name, message));

test.each([
  ['exports_nothing', /default export is not a function/],
  ['exports_number', /default export is not a function/],
  ['time_at_load', /the time is known only inside of run \(line 2\)/],
  ['random_at_load', /a random number is known only inside of run \(line 2\)/],
])('%s fails with a message that says why', async (name, message) => failsWith(name, message));

async function failsWith(name: string, message: RegExp): Promise<void> {
  for (const attempt of [1, 2]) {
    const result = await run(name);
    expect(endOf(result), `attempt ${attempt}`).toBe('skill_failed');
    expect(messageOf(result)).toMatch(message);
  }
}

testOfQuickJs('no path of the host stands in what a program can read of errors', async () => {
  const result = await run('leaks_paths');
  const texts = String(endOf(result));
  expect(texts).toContain('boot.js');
  expect(texts).not.toMatch(/file:\/\/|node_modules|thread\.js|\/secret\/|dist\//);
});
