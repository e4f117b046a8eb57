import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, vi } from 'vitest';
import type { Tool } from '../../src/catalog/tool.ts';
import type { CallRequest, Outcome } from '../../src/contracts.ts';
import { agent, person, type TestApp, temporaryFolder, testApp } from '../helpers/app.ts';
import { until } from '../helpers/process.ts';
import { askingTool, type TestTool, waitingTool } from '../helpers/test-tools.ts';

const hour = 3_600_000;
const day = 24 * hour;
/** Of a process that is dead to all others: it never renews. */
const dead = { leaseMs: 600, renewMs: hour, lookMs: hour };
const alive = { leaseMs: 600, renewMs: 50, lookMs: 20 };
const often = { outboxMs: 30, leasesMs: 30 };

const idempotent = <T extends TestTool>(made: T): T => ({
  ...made,
  tool: { ...made.tool, annotations: { ...made.tool.annotations, idempotentHint: true } } as Tool,
});

interface Place {
  open(tool: Tool, runTimes: typeof alive): Promise<TestApp>;
  begin(app: TestApp, more?: Partial<CallRequest>): Promise<string>;
}

/** Processes on one home. */
function place(): Place {
  const file = join(temporaryFolder(), 'db');
  return {
    open: (tool, runTimes) => testApp({ file, moreTools: [tool], runTimes, workerTimes: often }),
    async begin(app, more = {}) {
      const outcome = await app.outcome('waits', { n: 1 }, { backgroundAfterMs: 1, ...more });
      if (outcome.status !== 'running') throw new Error(JSON.stringify(outcome));
      return outcome.runId;
    },
  };
}

type Shown = Record<string, unknown> & { status: string };
const show = async (app: TestApp, run_id: string): Promise<Shown> => (await app.use('get_run', { run_id })) as Shown;
const isNow = (app: TestApp, id: string, status: string) =>
  until(async () => (await show(app, id)).status === status, 8_000);
const codesOf = async (app: TestApp) => {
  await app.sink.flush();
  const rows = await app.database.read.selectFrom('calls').select('code').where('tool', '=', 'waits').execute();
  return rows.map(({ code }) => code);
};

describe('a run whose process ended', () => {
  it('is run again in another process as the same run, with its key, when twice is as once', async () => {
    const { open, begin } = place();
    const [first, second] = [idempotent(waitingTool()), idempotent(waitingTool())];
    const [lost, other] = [await open(first.tool, dead), await open(second.tool, alive)];
    const id = await begin(lost, { idempotencyKey: 'k' });
    other.worker.start();
    expect(await until(() => second.runs.length === 1, 8_000)).toBe(true);
    expect(second.runs[0]?.runId).toBe(id);
    expect(second.runs[0]?.request).toMatchObject({
      input: { n: 1 },
      idempotencyKey: 'k',
      principal: { id: agent.id },
    });
    second.finish({ status: 'done', value: { by: 'second' } });
    expect(await isNow(other, id, 'done')).toBe(true);
    // What the first says after that is nobody's outcome.
    first.finish({ status: 'done', value: { by: 'first' } });
    await sleep(100);
    expect(await show(other, id)).toMatchObject({ status: 'done', value: { by: 'second' } });
    const twin = await other.outcome('waits', { n: 1 }, { idempotencyKey: 'k' });
    expect(twin).toEqual({ status: 'done', value: { by: 'second' } });
    expect([first.runs.length, second.runs.length]).toEqual([1, 1]);
  });

  it('is not run again when it may have done what must not be done twice: it ends, and says so', async () => {
    const { open, begin } = place();
    const [first, second] = [waitingTool(), waitingTool()];
    const [lost, other] = [await open(first.tool, dead), await open(second.tool, alive)];
    const id = await begin(lost, { idempotencyKey: 'k' });
    other.worker.start();
    expect(await isNow(other, id, 'failed')).toBe(true);
    expect(await show(other, id)).toMatchObject({
      error: {
        code: 'unavailable',
        message: expect.stringMatching(/process that ran it ended.*Nobody knows/),
        hint: expect.stringContaining('call it again'),
      },
    });
    expect(second.runs).toHaveLength(0);
    const twin = await other.outcome('waits', { n: 1 }, { idempotencyKey: 'k' });
    expect(twin).toMatchObject({ status: 'failed', error: { code: 'unavailable' } });
    expect(second.runs).toHaveLength(0);
    expect(await codesOf(other)).toEqual(expect.arrayContaining(['unavailable']));
  });

  it('is taken by one of three processes that look', async () => {
    const { open, begin } = place();
    const lost = await open(idempotent(waitingTool()).tool, dead);
    const id = await begin(lost);
    const tools = [1, 2, 3].map(() => idempotent(waitingTool()));
    const apps = await Promise.all(tools.map(({ tool }) => open(tool, alive)));
    for (const { worker } of apps) worker.start();
    const begun = () => tools.flatMap(({ runs }) => runs).length;
    expect(await until(() => begun() > 0, 8_000)).toBe(true);
    await sleep(2 * alive.leaseMs);
    expect(begun()).toBe(1);
    for (const { finish } of tools) finish();
    expect(await isNow(apps[0] as TestApp, id, 'done')).toBe(true);
  });

  it('ends when its tool is gone, and when it has taken several processes with it', async () => {
    const { open, begin } = place();
    const lost = await open(idempotent(waitingTool()).tool, dead);
    const [gone, deadly] = [await begin(lost), await begin(lost)];
    await lost.database.write(async (trx) => {
      await trx.updateTable('runs').set({ tool: 'removed_since' }).where('id', '=', gone).execute();
      await trx.updateTable('runs').set({ takes: 3 }).where('id', '=', deadly).execute();
    });
    const second = idempotent(waitingTool());
    const other = await open(second.tool, alive);
    other.worker.start();
    expect(await isNow(other, gone, 'failed')).toBe(true);
    expect(await isNow(other, deadly, 'failed')).toBe(true);
    expect(await show(other, gone)).toMatchObject({ error: { code: 'unknown_tool' } });
    expect(await show(other, deadly)).toMatchObject({
      error: { code: 'unavailable', message: expect.stringContaining('4 processes') },
    });
    expect(second.runs).toHaveLength(0);
  });

  it.each([
    ['its own agent', agent, 'done'],
    ['somebody else', person, 'failed'],
  ])('while it went on with an answer of %s goes on with that, or ends as unavailable', async (_, by, status) => {
    const { open } = place();
    const asks = idempotent(askingTool());
    // Asks, and then never ends.
    const stuck: Tool = {
      ...asks.tool,
      run: (input, ctx) => (ctx.request.resume ? new Promise(() => {}) : asks.tool.run(input, ctx)),
    };
    const lost = await open(stuck, dead);
    const asked = (await lost.outcome('asks')) as Extract<Outcome, { status: 'asks' }>;
    const answer = { run_id: asked.runId, question_id: asked.question.id, answer: { yes: true } };
    void lost.outcome('answer_run', answer, { principal: by });
    const other = await open(asks.tool, alive);
    expect(await isNow(other, asked.runId, 'running')).toBe(true);
    other.worker.start();
    expect(await isNow(other, asked.runId, status)).toBe(true);
    if (status === 'done') expect(await show(other, asked.runId)).toMatchObject({ value: { answer: { yes: true } } });
    else expect(await show(other, asked.runId)).toMatchObject({ error: { code: 'unavailable' } });
  });

  it('waits when none lives, and is never said to have failed before somebody has looked', async () => {
    const { open, begin } = place();
    const lost = await open(idempotent(waitingTool()).tool, dead);
    const id = await begin(lost);
    await sleep(2 * dead.leaseMs);
    expect(await show(lost, id)).toMatchObject({ status: 'running' });
  });
});

describe('a run whose process lives', () => {
  it('is taken by nobody, also while the clock jumps by a day both ways', async () => {
    const { open, begin } = place();
    const [first, second] = [idempotent(waitingTool()), idempotent(waitingTool())];
    const [holder, other] = [await open(first.tool, alive), await open(second.tool, alive)];
    const id = await begin(holder, { idempotencyKey: 'k' });
    other.worker.start();
    holder.worker.start();
    try {
      for (const jump of [day, -2 * day, day]) {
        vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + jump });
        await sleep(2 * alive.leaseMs);
        expect(await show(other, id)).toMatchObject({ status: 'running' });
      }
    } finally {
      vi.useRealTimers();
    }
    expect(second.runs).toHaveLength(0);
    first.finish();
    expect(await isNow(other, id, 'done')).toBe(true);
  });

  it('is handed back when that process is told to end, and gone on with at once', async () => {
    const { open, begin } = place();
    const [first, second] = [idempotent(waitingTool()), idempotent(waitingTool())];
    const [closing, other] = [await open(first.tool, alive), await open(second.tool, { ...alive, leaseMs: hour })];
    const id = await begin(closing);
    other.worker.start();
    await closing.close();
    expect(first.runs[0]?.signal.aborted).toBe(true);
    expect(await until(() => second.runs.length === 1, 8_000)).toBe(true);
    second.finish();
    expect(await isNow(other, id, 'done')).toBe(true);
  });
});

it('a lease that is not the run’s goes on with nothing', async () => {
  const { open, begin } = place();
  const waits = idempotent(waitingTool());
  const app = await open(waits.tool, alive);
  const id = await begin(app);
  const resume = { runId: id, lease: 'guessed' };
  expect(await app.outcome('waits', {}, { resume })).toMatchObject({ status: 'failed', error: { code: 'conflict' } });
  expect(waits.runs).toHaveLength(1);
  waits.finish();
});

it('a question that nobody answered in time ends its run, and a run that has expired is forgotten', async () => {
  const asks = askingTool();
  const app = await testApp({ moreTools: [asks.tool], workerTimes: often });
  const outcome = (await app.outcome('asks', { expiresInMs: 50 })) as Extract<Outcome, { status: 'asks' }>;
  const stateOf = async () => (await app.database.read.selectFrom('runs').select(['state', 'outcome']).execute())[0];
  expect((await stateOf())?.state).toBe('asks');
  app.worker.start();
  expect(await until(async () => (await stateOf())?.state === 'failed', 8_000)).toBe(true);
  expect(await stateOf()).toMatchObject({ outcome: expect.stringContaining('timed_out') });
  expect(await show(app, outcome.runId)).toMatchObject({ error: { code: 'timed_out' } });
  await app.database.write(async (trx) => {
    await trx.updateTable('runs').set({ expires_at: 1 }).execute();
    await trx.updateTable('outbox').set({ due_at: 1 }).execute();
  });
  expect(await until(async () => (await stateOf()) === undefined, 8_000)).toBe(true);
});

it('a question that was answered in time ends nothing, however late that is looked at', async () => {
  const app = await testApp({ moreTools: [askingTool().tool], workerTimes: often });
  const { runId, question } = (await app.outcome('asks', { times: 2 })) as Extract<Outcome, { status: 'asks' }>;
  const answer = { run_id: runId, question_id: question.id, answer: { yes: true } };
  expect(await app.outcome('answer_run', answer)).toMatchObject({ status: 'asks' });
  await app.database.write((trx) => trx.updateTable('outbox').set({ due_at: 1 }).execute());
  app.worker.start();
  const isQuiet = async () =>
    (await app.database.read.selectFrom('outbox').select('key').where('topic', '=', 'end_question').execute())
      .length === 0;
  expect(await until(isQuiet, 8_000)).toBe(true);
  expect(await show(app, runId)).toMatchObject({ status: 'asks' });
});
