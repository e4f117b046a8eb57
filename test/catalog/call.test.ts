import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createPrincipal } from '../../src/access/principals.ts';
import { maxNesting } from '../../src/catalog/call.ts';
import type { CallRequest, Outcome } from '../../src/contracts.ts';
import { agent, person, type TestApp, temporaryFolder, testApp } from '../helpers/app.ts';
import { bare, lenient, saveSkill } from '../helpers/drafts.ts';

const codeOf = (outcome: Outcome) => (outcome.status === 'failed' ? outcome.error.code : outcome.status);
const call = (app: TestApp, request: Partial<CallRequest>) =>
  app.call({
    tool: 'list_reviews',
    input: {},
    principal: agent,
    via: 'system',
    signal: new AbortController().signal,
    ...request,
  });
const nested = (list: unknown[]): unknown => Array.from({ length: 70 }).reduce((inner) => [inner], list);

/** Events of the calls of this tool, oldest first. */
async function eventsOf(app: TestApp, ...tools: string[]) {
  await app.sink.flush();
  const rows = await app.database.read.selectFrom('calls').selectAll().orderBy('at').execute();
  return tools.length === 0 ? rows : rows.filter(({ tool }) => tools.includes(tool));
}

describe('a call', () => {
  it.each<[string, Partial<CallRequest>, string]>([
    ['an unknown tool', { tool: 'nothing' }, 'unknown_tool'],
    ['no name', { tool: '' }, 'unknown_tool'],
    ['only an at sign', { tool: '@' }, 'unknown_tool'],
    ['a name of 10 kB', { tool: 'x'.repeat(10_000) }, 'unknown_tool'],
    ['a name of 10 kB of a range', { tool: `double@${'1||'.repeat(3_400)}1` }, 'unknown_tool'],
    ['a name of 4 MB', { tool: 'list_'.repeat(800_000) }, 'unknown_tool'],
    ['a name of 4 MB of a range', { tool: `double@${'>=1 '.repeat(1_000_000)}` }, 'unknown_tool'],
    ['a range that is none', { tool: 'double@< <' }, 'bad_input'],
    ['a version of a built-in tool', { tool: 'list_reviews@^1' }, 'not_found'],
    ['a version of a built-in tool beside it', { tool: 'list_reviews', version: '1.0.0' }, 'not_found'],
    ['a name with hidden characters', { tool: 'list\u202e_reviews\0' }, 'unknown_tool'],
    ['a name of every object', { tool: '__proto__' }, 'unknown_tool'],
    ['another name of every object', { tool: 'constructor' }, 'unknown_tool'],
    ['a name that is no text', { tool: 5 as unknown as string }, 'internal'],
    ['no input', { input: undefined }, 'bad_input'],
    ['an input that is a list', { input: [] }, 'bad_input'],
    ['an input that is text', { input: '{}' }, 'bad_input'],
    ['an input that is null', { input: null }, 'bad_input'],
    ['an unknown field', { input: { colour: 1 } }, 'bad_input'],
    ['an input nested too deep', { input: { state: nested([]) } }, 'bad_input'],
    [
      'an input nested 100,000 deep',
      { input: JSON.parse(`${'['.repeat(100_000)}${']'.repeat(100_000)}`) },
      'bad_input',
    ],
    ['an aborted signal', { signal: AbortSignal.abort() }, 'cancelled'],
    ['a version that is none', { tool: 'double', version: 'latest' }, 'bad_input'],
    [
      'call_tool of itself',
      { tool: 'call_tool', input: { name: 'call_tool', input: { name: 'list_reviews' } } },
      'bad_input',
    ],
    ['call_tool of its twin', { tool: 'call_read_tool', input: { name: 'call_tool' } }, 'bad_input'],
    ['call_tool of nothing', { tool: 'call_tool', input: { name: 'nothing' } }, 'unknown_tool'],
    ['call_tool without a name', { tool: 'call_tool', input: {} }, 'bad_input'],
    [
      'call_tool with an input for it that is a text',
      { tool: 'call_tool', input: { name: 'list_reviews', input: 'x' } },
      'bad_input',
    ],
    [
      'call_tool with a bad input for the tool',
      { tool: 'call_tool', input: { name: 'list_reviews', input: { limit: 0 } } },
      'bad_input',
    ],
    [
      'call_read_tool of what writes',
      { tool: 'call_read_tool', input: { name: 'rollback', input: { name: 'a', version: 'b', reason: 'c' } } },
      'not_allowed',
    ],
    [
      'nesting too deep',
      {
        caller: {
          callId: 'x',
          depth: maxNesting + 1,
          capabilities: { net: [], secrets: [], files: 'none', tools: [{ name: 'list_reviews', range: '*' }] },
        },
      },
      'limit_exceeded',
    ],
    ['code that was granted nothing', { caller: { callId: 'x', depth: 1 } }, 'not_allowed'],
  ])('with %s never throws', async (_, request, code) => {
    const app = await testApp();
    const outcome = await call(app, request);
    expect(codeOf(outcome)).toBe(code);
    if (outcome.status === 'failed') {
      expect(outcome.error.message.length).toBeLessThan(1_000);
      expect(outcome.error.message).not.toBe('');
      expect(outcome.error.hint ?? '').not.toContain('undefined');
    }
  });

  it('with a name of over 300 characters is one of nothing, even where its range would fit', async () => {
    const app = await testApp(lenient);
    await saveSkill(app, 'tell', 'return { n: 1 };');
    expect(codeOf(await call(app, { tool: `tell@${'1||'.repeat(90)}1` }))).toBe('done');
    expect(codeOf(await call(app, { tool: `tell@${'1||'.repeat(120)}1` }))).toBe('unknown_tool');
  });

  it('with a deadline in the past has timed out, and nothing came of it', async () => {
    const app = await testApp(lenient);
    const outcome = await call(app, { tool: 'save_skill', input: bare(), deadlineAt: Date.now() - 1_000 });
    expect(codeOf(outcome)).toBe('timed_out');
    await app.database.write(async () => {});
    expect(codeOf(await call(app, { tool: 'double', input: { x: 1 } }))).toBe('unknown_tool');
  });

  it('with a deadline in the past times out even where it would be quick', async () => {
    const app = await testApp();
    expect(codeOf(await call(app, { deadlineAt: 1 }))).toBe('timed_out');
  });

  it('of what is nearly a name hears of the name', async () => {
    const app = await testApp(lenient);
    await app.use('save_skill', bare({ name: 'csv_summary' }));
    for (const tool of ['csv_summaries', 'csv_summ', 'csv']) {
      await expect(app.use(tool), tool).rejects.toMatchObject({ hint: expect.stringContaining('csv_summary') });
    }
  });

  it('that fails unforeseen says nothing of the cause, which goes to the log', async () => {
    const app = await testApp();
    const outcome = await call(app, { tool: 5 as unknown as string });
    expect(JSON.stringify(outcome)).not.toMatch(/TypeError|indexOf|at /);
  });
});

describe('the time of a call', () => {
  it('ends code that computes, and code that waits, when the caller cancels', async () => {
    const app = await testApp(lenient);
    await saveSkill(app, 'spin', 'ctx.progress(1); for (;;);');
    await saveSkill(app, 'wait', 'ctx.progress(1); return ctx.tools.spin({});');
    for (const tool of ['spin', 'wait']) {
      const caller = new AbortController();
      const started = performance.now();
      const outcome = await call(app, { tool, signal: caller.signal, progress: () => caller.abort() });
      expect(codeOf(outcome), tool).toBe('cancelled');
      expect(performance.now() - started, tool).toBeLessThan(5_000);
    }
  });

  it('ends code at its deadline, nested calls too', async () => {
    const app = await testApp(lenient);
    await saveSkill(app, 'spin', 'for (;;);');
    await saveSkill(app, 'wait', 'return ctx.tools.spin({});');
    for (const tool of ['spin', 'wait']) {
      const outcome = await call(app, { tool, deadlineAt: Date.now() + 300 });
      expect(codeOf(outcome), tool).toBe('timed_out');
    }
    const events = await eventsOf(app, 'spin');
    expect(events.map(({ code }) => code)).not.toContain('done');
  });

  it('is bounded by the setting', async () => {
    const file = join(temporaryFolder(), 'library.db');
    await saveSkill(await testApp({ ...lenient, file }), 'spin', 'for (;;);');
    const app = await testApp({ settings: { callTimeoutMs: 200 }, file });
    expect(codeOf(await call(app, { tool: 'spin' }))).toBe('timed_out');
    expect(codeOf(await call(app, { tool: 'spin', deadlineAt: Date.now() + 60_000 }))).toBe('timed_out');
  });
});

describe('who may call', () => {
  const as = (...roles: string[]) => createPrincipal(`agent:${roles[0]}`, 'agent', roles);
  it.each([
    ['viewer', 'double', 'not_allowed'],
    ['viewer', 'list_reviews', 'done'],
    ['viewer', 'save_skill', 'not_allowed'],
    ['caller', 'double', 'done'],
    ['caller', 'save_skill', 'not_allowed'],
    ['caller', 'rollback', 'not_allowed'],
    ['author', 'save_skill', 'done'],
    ['nobody', 'list_reviews', 'not_allowed'],
  ])('a %s that calls %s: %s', async (role, tool, code) => {
    const app = await testApp();
    if (tool === 'double') await app.save();
    const inputs: Record<string, unknown> = {
      double: { x: 1 },
      save_skill: bare({ name: 'other' }),
      rollback: { name: 'double', version: '1.0.0', reason: 'x' },
    };
    const input = inputs[tool] ?? {};
    const principal = as(role);
    expect(codeOf(await call(app, { tool, input, principal }))).toBe(code);
    const forwarded = await call(app, { tool: 'call_tool', input: { name: tool, input }, principal });
    expect(codeOf(forwarded)).toBe(code);
  });

  it('is said with the scope that is missing', async () => {
    const app = await testApp();
    await expect(app.use('save_skill', bare(), { principal: as('viewer') })).rejects.toMatchObject({
      message: expect.stringContaining('"save"'),
    });
  });

  it('a skill calls with what its seal grants, whoever calls it', async () => {
    const app = await testApp(lenient);
    await saveSkill(app, 'keep_it', `return ctx.tools.save_skill(${JSON.stringify(bare({ name: 'kept' }))});`);
    expect(codeOf(await call(app, { tool: 'keep_it', principal: as('caller') }))).toBe('done');
    expect(codeOf(await call(app, { tool: 'keep_it', principal: as('viewer') }))).toBe('not_allowed');
  });

  it('nobody of another tenant reaches what this one has', async () => {
    const app = await testApp(lenient);
    await app.use('save_skill', bare());
    const stranger = { ...person, tenant: 'other' };
    expect(codeOf(await call(app, { tool: 'double', input: { x: 1 }, principal: stranger }))).toBe('unknown_tool');
    expect(codeOf(await call(app, { tool: 'list_versions', input: { name: 'double' }, principal: stranger }))).toBe(
      'not_found',
    );
    expect(await app.use('save_skill', bare(), { principal: stranger })).toMatchObject({ version: '1.0.0' });
  });
});

describe('the event of a call', () => {
  it('is one for each, of the tool that was meant, with its code and sizes', async () => {
    const app = await testApp();
    await app.save();
    await call(app, { tool: 'call_tool', input: { name: 'double', input: { x: 21 } }, via: 'mcp' });
    await call(app, { tool: 'double@^1', input: { x: 'no' } });
    await call(app, { tool: 'nothing' });
    expect(await eventsOf(app, 'save_skill')).toMatchObject([{ code: 'done', kind: 'builtin' }]);
    expect(await eventsOf(app, 'call_tool')).toEqual([]);
    expect(await eventsOf(app, 'double')).toMatchObject([
      {
        code: 'done',
        kind: 'skill',
        version: '1.0.0',
        principal: 'agent:test',
        via: 'mcp',
        parent: null,
        bytes_out: 8,
        tokens: 2,
      },
      { code: 'bad_input', kind: 'skill', version: '1.0.0', bytes_out: 0 },
    ]);
    expect(await eventsOf(app, 'nothing')).toMatchObject([{ code: 'unknown_tool', kind: 'unknown', version: null }]);
    expect(await eventsOf(app)).toHaveLength(4);
  });

  it('of a nested one names its parent', async () => {
    const app = await testApp(lenient);
    await app.use('save_skill', bare());
    await saveSkill(app, 'user', 'await ctx.tools.double({ x: 1 }); return ctx.tools.double({ x: 2 });');
    await app.use('user');
    const [user] = await eventsOf(app, 'user');
    expect(user).toMatchObject({ code: 'done', parent: null });
    expect(await eventsOf(app, 'double')).toMatchObject([
      { parent: user?.id, via: 'skill', code: 'done' },
      { parent: user?.id, via: 'skill', code: 'done' },
    ]);
  });

  it('of a name of 10 kB is small', async () => {
    const app = await testApp();
    await call(app, { tool: 'x'.repeat(10_000) });
    const [event] = await eventsOf(app);
    expect(event?.tool.length).toBeLessThanOrEqual(100);
  });
});
