import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { createPrincipal } from '../../src/access/principals.ts';
import type { Answer, CallRequest, Outcome, Principal } from '../../src/contracts.ts';
import { agent, person, type TestApp, temporaryFolder, testApp } from '../helpers/app.ts';
import { lenient, saveSkill } from '../helpers/drafts.ts';
import { until } from '../helpers/process.ts';
import { type AsksInput, askingTool, testTool, waitingTool } from '../helpers/test-tools.ts';

type Asks = Extract<Outcome, { status: 'asks' }>;

const codeOf = (outcome: Outcome) => (outcome.status === 'failed' ? outcome.error.code : outcome.status);
const reviewer = createPrincipal('person:rita', 'person', ['reviewer']);

async function withAsking(more: Parameters<typeof testApp>[0] = {}) {
  const asks = askingTool();
  return { asks, app: await testApp({ moreTools: [asks.tool], ...more }) };
}

async function ask(app: TestApp, input: AsksInput = {}, more: Partial<CallRequest> = {}): Promise<Asks> {
  const outcome = await app.outcome('asks', input, more);
  if (outcome.status !== 'asks') throw new Error(`does not ask: ${JSON.stringify(outcome)}`);
  return outcome;
}

/** Answers by answer_run. */
const answer = (app: TestApp, { runId, question }: Asks, value: unknown, more: Partial<CallRequest> = {}) =>
  app.outcome('answer_run', { run_id: runId, question_id: question.id, answer: value }, more);

/** Answers as an edge does that has asked somebody itself. */
function resume(app: TestApp, { runId, question }: Asks, given: Partial<Answer> = {}): Promise<Outcome> {
  const whole = {
    questionId: question.id,
    value: { yes: true },
    by: agent,
    how: 'elicitation',
    at: Date.now(),
  } as const;
  const { by = agent } = given;
  return app.call({
    tool: '',
    input: {},
    principal: by,
    via: 'mcp',
    signal: new AbortController().signal,
    resume: { runId, answer: { ...whole, ...given } },
  });
}

const show = async (app: TestApp, { runId }: Asks) =>
  (await app.use('get_run', { run_id: runId }, { principal: person })) as Record<string, unknown>;

describe('a run that asks', () => {
  it('waits with its question, and goes on with the answer to its end', async () => {
    const { app, asks } = await withAsking();
    const asked = await ask(app);
    expect(await show(app, asked)).toMatchObject({ status: 'asks', tool: 'asks', question: asked.question });
    expect(await answer(app, asked, { yes: true, why: 'because' })).toEqual({
      status: 'done',
      value: { answer: { yes: true, why: 'because' }, by: agent.id, how: 'tool', asked: 1 },
    });
    expect(await show(app, asked)).toMatchObject({ status: 'done', value: { asked: 1 } });
    expect(asks.runs.map(({ runId }) => runId)).toEqual([asked.runId, asked.runId]);
  });

  it('is kept for 30 days, before and after its answer', async () => {
    const { app } = await withAsking();
    const asked = await ask(app, {}, { idempotencyKey: 'k' });
    const daysLeft = async () => (Date.parse(String((await show(app, asked)).expires_at)) - Date.now()) / 86_400_000;
    expect(await daysLeft()).toBeGreaterThan(29);
    await answer(app, asked, { yes: true });
    expect(await daysLeft()).toBeGreaterThan(29);
  });

  it('asks again and again as the same run', async () => {
    const { app } = await withAsking();
    let outcome: Outcome = await ask(app, { times: 3 });
    const { runId } = outcome as Asks;
    for (let round = 1; round < 3; round++) {
      outcome = await answer(app, outcome as Asks, { yes: true });
      expect(outcome).toMatchObject({ status: 'asks', runId, question: { message: `Question ${round + 1}?` } });
    }
    expect(await answer(app, outcome as Asks, { yes: false })).toMatchObject({ status: 'done', value: { asked: 3 } });
    expect(await app.use('list_runs')).toMatchObject({ runs: [{ run_id: runId, status: 'done' }] });
  });

  it('counts a call each time that it runs, as a call of its tool by its own principal', async () => {
    const { app } = await withAsking();
    await answer(app, await ask(app), { yes: true }, { principal: person, via: 'cli' });
    await app.sink.flush();
    const events = await app.database.read.selectFrom('calls').selectAll().orderBy('at').execute();
    expect(events.map(({ tool, code, principal, via }) => [tool, code, principal, via])).toEqual([
      ['asks', 'asks', agent.id, 'system'],
      ['asks', 'done', agent.id, 'system'],
    ]);
  });

  it('is answered in another process than it asked in', async () => {
    const file = join(temporaryFolder(), 'db');
    const { app } = await withAsking({ file });
    const { app: other, asks } = await withAsking({ file });
    const asked = await ask(app);
    expect(await answer(other, asked, { yes: true })).toMatchObject({ status: 'done' });
    expect(asks.runs.map(({ runId }) => runId)).toEqual([asked.runId]);
    expect(await show(app, asked)).toMatchObject({ status: 'done' });
  });

  it('goes on in the background after its answer like any other', async () => {
    const waits = waitingTool();
    const tool = testTool('asks', (input, ctx) => {
      if (ctx.request.resume) return waits.tool.run(input, ctx);
      return askingTool().tool.run(input, ctx);
    }).tool;
    const app = await testApp({ moreTools: [tool] });
    const asked = await ask(app);
    const outcome = await answer(app, asked, { yes: true }, { backgroundAfterMs: 10 });
    expect(outcome).toEqual({ status: 'running', runId: asked.runId });
    waits.finish();
    expect(await until(async () => (await show(app, asked)).status === 'done', 5_000)).toBe(true);
  });

  it('is cancelled by cancel_run, and takes no answer after that', async () => {
    const { app, asks } = await withAsking();
    const asked = await ask(app);
    await app.use('cancel_run', { run_id: asked.runId });
    expect(codeOf(await answer(app, asked, { yes: true }))).toBe('conflict');
    expect(await show(app, asked)).toMatchObject({ status: 'cancelled' });
    expect(asks.runs).toHaveLength(1);
  });

  it('takes no answer when its time is over', async () => {
    const { app, asks } = await withAsking();
    const asked = await ask(app, { expiresInMs: 30 });
    await sleep(60);
    expect(codeOf(await answer(app, asked, { yes: true }))).toBe('timed_out');
    expect(await show(app, asked)).toMatchObject({ status: 'failed', error: { code: 'timed_out' } });
    expect(asks.runs).toHaveLength(1);
  });

  it('goes on asking when what it needs is gone, and goes on when that is back', async () => {
    const app = await testApp(lenient);
    const asks = askingTool();
    app.catalog.put('local', { ...asks.tool, kind: 'agent' });
    const asked = await ask(app);
    app.catalog.remove('local', 'asks');
    expect(codeOf(await answer(app, asked, { yes: true }))).toBe('unknown_tool');
    expect(await show(app, asked)).toMatchObject({ status: 'asks' });
    app.catalog.put('local', { ...asks.tool, kind: 'agent' });
    expect(codeOf(await answer(app, asked, { yes: true }))).toBe('done');
  });
});

describe('an answer', () => {
  it.each([
    ['of the wrong type', { yes: 'yes' }, 'answer.yes'],
    ['without what is required', { why: 'because' }, 'yes'],
    ['with more than was asked', { yes: true, more: 1 }, 'more'],
    ['that is too long', { yes: true, why: 'x'.repeat(21) }, 'answer.why'],
    ['that is empty', {}, 'yes'],
  ])('%s is refused, and the run still asks', async (_, value, named) => {
    const { app, asks } = await withAsking();
    const asked = await ask(app);
    for (const outcome of [
      await answer(app, asked, value),
      await resume(app, asked, { value: value as Answer['value'] }),
    ]) {
      expect(outcome).toMatchObject({ status: 'failed', error: { code: 'bad_input' } });
      expect(JSON.stringify((outcome as { error: unknown }).error)).toContain(named);
    }
    expect(await show(app, asked)).toMatchObject({ status: 'asks' });
    expect(codeOf(await answer(app, asked, { yes: true }))).toBe('done');
    expect(asks.runs).toHaveLength(2);
  });

  it('given twice in the same words gives the one outcome, in other words a conflict', async () => {
    const { app, asks } = await withAsking();
    const asked = await ask(app);
    const first = await answer(app, asked, { yes: true });
    expect(await answer(app, asked, { yes: true })).toEqual(first);
    expect(codeOf(await answer(app, asked, { yes: false }))).toBe('conflict');
    expect(codeOf(await answer(app, asked, { yes: true }, { principal: person }))).toBe('conflict');
    expect(asks.runs).toHaveLength(2);
  });

  it('given twice at the same moment, in two processes, is taken once', async () => {
    const file = join(temporaryFolder(), 'db');
    const made = [await withAsking({ file }), await withAsking({ file })];
    const asked = await ask((made[0] as { app: TestApp }).app);
    const outcomes = await Promise.all([...made, ...made].map(({ app }) => answer(app, asked, { yes: true })));
    expect(outcomes.map(({ status }) => status)).toEqual(['done', 'done', 'done', 'done']);
    expect(made.flatMap(({ asks }) => asks.runs)).toHaveLength(2);
  });

  it('given again to an earlier question gives what the run asks now', async () => {
    const { app, asks } = await withAsking();
    const first = await ask(app, { times: 2 });
    const second = await answer(app, first, { yes: true });
    expect(await answer(app, first, { yes: true })).toEqual(second);
    expect(asks.runs).toHaveLength(2);
  });

  it.each([
    ['an unknown run', { runId: 'run_none' }, 'not_found'],
    ['another question', { question: { id: 'q_none' } }, 'conflict'],
  ])('to %s is refused', async (_, fields, code) => {
    const { app, asks } = await withAsking();
    const asked = { ...(await ask(app)), ...fields } as Asks;
    expect(codeOf(await answer(app, asked, { yes: true }))).toBe(code);
    expect(asks.runs).toHaveLength(1);
  });

  it('to a question of another run is refused', async () => {
    const { app } = await withAsking();
    const [one, two] = [await ask(app), await ask(app)];
    expect(codeOf(await answer(app, { ...one, question: two.question }, { yes: true }))).toBe('conflict');
    expect(await show(app, one)).toMatchObject({ status: 'asks' });
  });

  it('to a call that asked nothing is refused', async () => {
    const { app } = await withAsking({ moreTools: [waitingTool().tool, askingTool().tool] });
    const outcome = await app.outcome('waits', {}, { backgroundAfterMs: 10 });
    const { runId } = outcome as { runId: string };
    expect(codeOf(await answer(app, { runId, question: { id: 'q_1' } } as Asks, { yes: true }))).toBe('conflict');
  });

  it('cannot be left out', async () => {
    const { app, asks } = await withAsking();
    const { runId } = await ask(app);
    const outcome = await app.outcome('', {}, { resume: { runId } });
    expect(codeOf(outcome)).toBe('bad_input');
    expect(asks.runs).toHaveLength(1);
  });
});

describe('who may answer', () => {
  const eve = createPrincipal('agent:eve', 'agent', ['author']);
  const away = createPrincipal('person:ada', 'person', ['admin'], { tenant: 'other' });
  const plain = createPrincipal('person:paul', 'person', ['caller']);
  const viewer = createPrincipal('person:vera', 'person', ['viewer']);
  const cases: [asked: AsksInput, by: Principal, code: string][] = [
    [{}, agent, 'done'],
    [{}, person, 'done'],
    [{}, plain, 'done'],
    [{}, viewer, 'not_allowed'],
    [{}, eve, 'not_found'],
    [{}, away, 'not_found'],
    [{ for: 'person' }, agent, 'needs_person'],
    [{ for: 'person' }, plain, 'needs_person'],
    [{ for: 'person' }, reviewer, 'done'],
    [{ for: 'person', approvers: ['person:rita'] }, reviewer, 'done'],
    [{ for: 'person', approvers: ['person:rita'] }, person, 'not_allowed'],
    [{ for: 'person', approvers: ['person:rita', agent.id] }, agent, 'needs_person'],
    [{ approvers: ['person:rita'] }, agent, 'not_allowed'],
    [{ approvers: [agent.id] }, agent, 'done'],
  ];
  it.each(cases)('of %j by answer_run: %o %s', async (input, principal, code) => {
    const { app, asks } = await withAsking();
    const asked = await ask(app, input);
    expect(codeOf(await answer(app, asked, { yes: true }, { principal }))).toBe(code);
    expect(await show(app, asked)).toMatchObject({ status: code === 'done' ? 'done' : 'asks' });
    expect(asks.runs).toHaveLength(code === 'done' ? 2 : 1);
  });

  it.each([
    ['false', 'needs_person'],
    ['true', 'done'],
  ])('through a dialog for an agent, where that counts as a person is %s: %s', async (elicitationApproves, code) => {
    const { app } = await withAsking({ settings: { elicitationApproves } });
    const asked = await ask(app, { for: 'person' });
    expect(codeOf(await resume(app, asked, { how: 'elicitation' }))).toBe(code);
    // Only that way counts, whatever the settings say.
    const other = await ask(app, { for: 'person' });
    for (const how of ['tool', 'web', 'a2a', 'cli'] as const)
      expect(codeOf(await resume(app, other, { how }))).toBe('needs_person');
  });

  it('is the run’s own principal for what it may do then: a person’s rights do not pass to it', async () => {
    const outcomes: Outcome[] = [];
    const asks = askingTool();
    const tool = testTool('asks', async (input, ctx) => {
      outcomes.push({ status: 'done', value: ctx.request.principal });
      return asks.tool.run(input, ctx);
    }).tool;
    const app = await testApp({ moreTools: [tool] });
    await answer(app, await ask(app, { for: 'person' }), { yes: true }, { principal: reviewer });
    expect(outcomes.map((one) => (one as { value: Principal }).value)).toEqual([agent, agent]);
  });
});

describe('answer_run', () => {
  it('is reached by call_tool, since hosts do not list it, and not by call_read_tool', async () => {
    const { app } = await withAsking();
    const asked = await ask(app);
    const input = { run_id: asked.runId, question_id: asked.question.id, answer: { yes: true } };
    expect(codeOf(await app.outcome('call_read_tool', { name: 'answer_run', input }))).toBe('not_allowed');
    expect(codeOf(await app.outcome('call_tool', { name: 'answer_run', input }))).toBe('done');
  });

  it.each([
    ['a list in the answer', { answer: { yes: [true] } }],
    ['an object in the answer', { answer: { yes: {} } }],
    ['no answer', { answer: undefined }],
    ['no question', { question_id: '' }],
    ['more', { by: 'person:rita' }],
  ])('takes no %s', async (_, fields) => {
    const { app } = await withAsking();
    const { runId, question } = await ask(app);
    const input = { run_id: runId, question_id: question.id, answer: { yes: true }, ...fields };
    expect(codeOf(await app.outcome('answer_run', input))).toBe('bad_input');
  });
});

describe('a question inside a skill', () => {
  it('is ToolError needs_person there, and nothing is left waiting', async () => {
    const { app } = await withAsking(lenient);
    const code = `try { await ctx.tools.asks({}); return { asked: true }; }
      catch (error) { return { name: error.name, tool: error.tool, code: error.code }; }`;
    await saveSkill(app, 'nests', code);
    expect(await app.use('nests')).toEqual({ name: 'ToolError', tool: 'asks', code: 'needs_person' });
    expect(await app.use('list_runs')).toEqual({ runs: [] });
    expect(await app.database.read.selectFrom('questions').selectAll().execute()).toEqual([]);
  });

  it('is not answered by a skill either', async () => {
    const { app, asks } = await withAsking(lenient);
    const asked = await ask(app);
    const code = `try { return await ctx.tools.answer_run(input); } catch (error) { return { code: error.code }; }`;
    await saveSkill(app, 'answers', code);
    const input = { run_id: asked.runId, question_id: asked.question.id, answer: { yes: true } };
    expect(await app.use('answers', input)).toEqual({ code: 'not_allowed' });
    expect(await show(app, asked)).toMatchObject({ status: 'asks' });
    expect(asks.runs).toHaveLength(1);
  });
});
