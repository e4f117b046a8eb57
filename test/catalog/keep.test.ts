import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Sqlite from 'better-sqlite3';
import { describe, expect, it, vi } from 'vitest';
import { createPrincipal } from '../../src/access/principals.ts';
import { type KeepableCall, keepCall } from '../../src/catalog/keep.ts';
import type { CallRequest, Outcome } from '../../src/contracts.ts';
import { WeaverError } from '../../src/errors.ts';
import { silentLog } from '../../src/log.ts';
import { createRunKeeper } from '../../src/runs/keeper.ts';
import { getRun } from '../../src/runs/read.ts';
import { type Database, openDatabase } from '../../src/store/database.ts';
import { agent, person, type TestApp, temporaryFolder, testApp } from '../helpers/app.ts';
import { until } from '../helpers/process.ts';
import { askingTool, testTool, waitingTool } from '../helpers/test-tools.ts';

const quick = { leaseMs: 5_000, renewMs: 100, lookMs: 20 };
const hour = 3_600_000;

async function withWaiting(more: Parameters<typeof testApp>[0] = {}) {
  const waits = waitingTool();
  const app = await testApp({ moreTools: [waits.tool], runTimes: quick, ...more });
  return { app, waits };
}

const call = (app: TestApp, request: Partial<CallRequest> = {}): Promise<Outcome> =>
  app.call({
    tool: 'waits',
    input: {},
    principal: agent,
    via: 'system',
    signal: new AbortController().signal,
    ...request,
  });

/** The id of a call that went on in the background. */
async function handedOver(app: TestApp, request: Partial<CallRequest> = {}): Promise<string> {
  const outcome = await call(app, { backgroundAfterMs: 10, ...request });
  if (outcome.status !== 'running') throw new Error(`not running: ${JSON.stringify(outcome)}`);
  return outcome.runId;
}

type Shown = Record<string, unknown> & { status: string };
const show = async (app: TestApp, run_id: string): Promise<Shown> => (await app.use('get_run', { run_id })) as Shown;
const isNow = (app: TestApp, id: string, status: string) =>
  until(async () => (await show(app, id)).status === status, 5_000);

async function eventsOf(app: TestApp, tool = 'waits') {
  await app.sink.flush();
  return app.database.read.selectFrom('calls').selectAll().where('tool', '=', tool).orderBy('at').execute();
}

const codeOf = (outcome: Outcome) => (outcome.status === 'failed' ? outcome.error.code : outcome.status);

describe('a call that takes longer than its caller waits', () => {
  it('goes on in the background, and its outcome is kept for 30 days', async () => {
    const { app, waits } = await withWaiting();
    const id = await handedOver(app, { input: { x: 1 } });
    expect(await show(app, id)).toMatchObject({ run_id: id, tool: 'waits', status: 'running', principal: agent.id });
    waits.finish({ status: 'done', value: { y: 2 } });
    expect(await isNow(app, id, 'done')).toBe(true);
    const shown = await show(app, id);
    expect(shown).toMatchObject({ value: { y: 2 } });
    const left = Date.parse(String(shown.expires_at)) - Date.now();
    expect(left).toBeGreaterThan(29 * 24 * hour);
    expect(waits.runs).toHaveLength(1);
  });

  it('that fails is kept as failed, with its error', async () => {
    const { app, waits } = await withWaiting();
    const id = await handedOver(app);
    waits.finish(new WeaverError('conflict', 'meant to', { hint: 'do not', details: { a: 1 } }));
    expect(await isNow(app, id, 'failed')).toBe(true);
    const error = { code: 'conflict', message: 'meant to', hint: 'do not', details: { a: 1 } };
    expect(await show(app, id)).toMatchObject({ error });
  });

  it('that fails unforeseen keeps nothing of the cause', async () => {
    const { app, waits } = await withWaiting();
    const id = await handedOver(app);
    waits.finish(new Error('a secret of the inside'));
    expect(await isNow(app, id, 'failed')).toBe(true);
    expect(JSON.stringify(await show(app, id))).not.toContain('secret');
    expect(await show(app, id)).toMatchObject({ error: { code: 'internal' } });
  });

  it('is not ended by its caller any more, but was until then', async () => {
    const { app, waits } = await withWaiting();
    const early = new AbortController();
    const cancelled = call(app, { backgroundAfterMs: 10_000, signal: early.signal });
    await until(() => waits.runs.length === 1, 5_000);
    early.abort();
    expect(codeOf(await cancelled)).toBe('cancelled');
    expect(waits.runs[0]?.signal.aborted).toBe(true);
    waits.finish();

    const late = new AbortController();
    const id = await handedOver(app, { signal: late.signal });
    late.abort();
    expect(waits.runs[1]?.signal.aborted).toBe(false);
    waits.finish();
    expect(await isNow(app, id, 'done')).toBe(true);
  });

  it('is ended by its deadline', async () => {
    const { app, waits } = await withWaiting();
    const id = await handedOver(app, { deadlineAt: Date.now() + 150 });
    expect(await isNow(app, id, 'failed')).toBe(true);
    expect(await show(app, id)).toMatchObject({ error: { code: 'timed_out' } });
    expect(waits.runs[0]?.signal.aborted).toBe(true);
  });

  it('shows how far it is', async () => {
    const { app, waits } = await withWaiting();
    const heard: number[] = [];
    const id = await handedOver(app, { progress: ({ done }) => void heard.push(done) });
    waits.runs[0]?.progress({ done: 3, total: 10, message: 'at three' });
    expect(await until(async () => (await show(app, id)).progress !== undefined, 5_000)).toBe(true);
    expect(await show(app, id)).toMatchObject({ status: 'running', progress: { done: 3, total: 10 } });
    expect(heard).toEqual([3]);
  });

  it('is cancelled by cancel_run, which reaches what runs', async () => {
    const { app, waits } = await withWaiting();
    const id = await handedOver(app);
    expect(await app.use('cancel_run', { run_id: id })).toMatchObject({ run_id: id, status: 'cancelled' });
    expect(await until(() => waits.runs[0]?.signal.aborted === true, 5_000)).toBe(true);
    expect(await show(app, id)).toMatchObject({ status: 'cancelled', error: { code: 'cancelled' } });
    await expect(app.use('cancel_run', { run_id: id })).rejects.toMatchObject({ code: 'conflict' });
  });

  it('is cancelled from another process on the same home within two seconds', async () => {
    const file = join(temporaryFolder(), 'db');
    const { app, waits } = await withWaiting({ file, runTimes: undefined });
    const other = await testApp({ file });
    const id = await handedOver(app);
    expect(await other.use('list_runs')).toMatchObject({ runs: [{ run_id: id, status: 'running' }] });
    const asked = Date.now();
    await other.use('cancel_run', { run_id: id });
    expect(await until(() => waits.runs[0]?.signal.aborted === true, 5_000)).toBe(true);
    expect(Date.now() - asked).toBeLessThan(2_000);
  });

  it('ends as cancelled when its process is closed', async () => {
    const file = join(temporaryFolder(), 'db');
    const { app, waits } = await withWaiting({ file });
    const other = await testApp({ file });
    const id = await handedOver(app);
    await app.close();
    expect(waits.runs[0]?.signal.aborted).toBe(true);
    expect(await show(other, id)).toMatchObject({
      status: 'cancelled',
      error: { code: 'cancelled', message: expect.stringContaining('ended') },
    });
    expect(await eventsOf(other)).toMatchObject([{ code: 'cancelled' }]);
  });

  it('counts as one call, when it has really ended', async () => {
    const { app, waits } = await withWaiting();
    const id = await handedOver(app);
    await sleep(60);
    expect(await eventsOf(app)).toEqual([]);
    waits.finish({ status: 'done', value: { y: 2 } });
    await isNow(app, id, 'done');
    expect(await eventsOf(app)).toMatchObject([{ code: 'done', bytes_out: 7 }]);
    expect((await eventsOf(app))[0]?.duration_ms).toBeGreaterThan(50);
  });

  it('is kept nowhere when it ends before', async () => {
    const { app, waits } = await withWaiting();
    const outcome = call(app, { backgroundAfterMs: 10_000 });
    await until(() => waits.runs.length === 1, 5_000);
    waits.finish();
    expect(await outcome).toMatchObject({ status: 'done', value: { waited: true } });
    expect(await app.use('list_runs')).toEqual({ runs: [] });
    expect(await eventsOf(app)).toHaveLength(1);
  });

  it('goes on while another process holds the database, and is handed over after that', async () => {
    const file = join(temporaryFolder(), 'db');
    const { app, waits } = await withWaiting({ file });
    const other = new Sqlite(file);
    other.exec('begin immediate');
    const running = handedOver(app);
    await sleep(300);
    other.exec('rollback');
    other.close();
    const id = await running;
    waits.finish();
    expect(await isNow(app, id, 'done')).toBe(true);
  });
});

interface Harness {
  database: Database;
  /** Begins a call that is handed over at once. */
  begin(request?: Partial<CallRequest>): Promise<Outcome>;
  /** Ends its work. */
  end(outcome: Outcome): void;
  signal(): AbortSignal;
}

/** A call on a database whose next writes may fail or be slow. */
async function harness(beforeWrite: (nth: number) => Promise<void> | void): Promise<Harness> {
  const whole = await openDatabase(':memory:');
  let writes = 0;
  const write: Database['write'] = async (work) => {
    await beforeWrite(++writes);
    return whole.write(work);
  };
  const database = { ...whole, write };
  const keeper = createRunKeeper(database, silentLog, quick);
  let end: (outcome: Outcome) => void = () => {};
  let signal = new AbortController().signal;
  const parts = { database, keeper, log: silentLog };
  return {
    database: whole,
    begin(request = {}) {
      const made: KeepableCall = {
        tool: waitingTool().tool,
        callId: 'call_1',
        runId: 'run_1',
        request: {
          tool: 'waits',
          input: {},
          principal: agent,
          via: 'system',
          signal: new AbortController().signal,
          ...request,
        },
        record: (outcome) => outcome,
        work: ({ signal: given }) => {
          signal = given;
          return new Promise((resolve) => {
            end = resolve;
            given.addEventListener('abort', () => resolve(cancelled));
          });
        },
      };
      return keepCall(parts, made);
    },
    end: (outcome) => end(outcome),
    signal: () => signal,
  };
}

const done: Outcome = { status: 'done', value: 1 };
const cancelled: Outcome = { status: 'failed', error: new WeaverError('cancelled', 'cancelled') };
const busy = () => Promise.reject(new WeaverError('busy', 'locked'));
const gate = () => {
  let open = () => {};
  const closed = new Promise<void>((resolve) => {
    open = resolve;
  });
  let isReached = false;
  return {
    open: () => open(),
    isReached: () => isReached,
    pass: () => {
      isReached = true;
      return closed;
    },
  };
};

describe('a call that is being handed over', () => {
  it('and ends meanwhile gives its outcome to the caller, and is kept as ended', async () => {
    const door = gate();
    const made = await harness((nth) => (nth === 1 ? door.pass() : undefined));
    const outcome = made.begin({ backgroundAfterMs: 0 });
    await until(door.isReached, 5_000);
    made.end(done);
    await sleep(10);
    door.open();
    expect(await outcome).toEqual(done);
    expect(await getRun(made.database, agent, 'run_1', Date.now())).toMatchObject({ state: 'done', value: 1 });
  });

  it('and ends at that very moment is never left as running', async () => {
    // However the timer and the end of the work fall, the caller and the database say the same.
    for (let round = 0; round < 20; round++) {
      const made = await harness(() => undefined);
      const outcome = made.begin({ backgroundAfterMs: 1 });
      setTimeout(() => made.end(done), 1);
      const { status } = await outcome;
      expect(['done', 'running']).toContain(status);
      const stateOf = () => getRun(made.database, agent, 'run_1', Date.now()).catch(() => undefined);
      expect(await until(async () => (await stateOf())?.state !== 'running', 5_000)).toBe(true);
    }
  });

  it('simply keeps its caller when the database is busy', async () => {
    const made = await harness(busy);
    const outcome = made.begin({ backgroundAfterMs: 0 });
    await sleep(50);
    made.end(done);
    expect(await outcome).toEqual(done);
    await expect(getRun(made.database, agent, 'run_1', Date.now())).rejects.toMatchObject({ code: 'not_found' });
  });

  it('still ends with its caller', async () => {
    const door = gate();
    const made = await harness((nth) => (nth === 1 ? door.pass() : undefined));
    const caller = new AbortController();
    const outcome = made.begin({ backgroundAfterMs: 0, signal: caller.signal });
    await until(door.isReached, 5_000);
    caller.abort();
    door.open();
    expect(await outcome).toEqual(cancelled);
    expect(await getRun(made.database, agent, 'run_1', Date.now())).toMatchObject({ state: 'cancelled' });
  });
});

describe('a kept call whose end cannot be kept', () => {
  it('gives its outcome to the caller all the same', async () => {
    const made = await harness((nth) => (nth > 1 ? busy() : undefined));
    const outcome = made.begin({ idempotencyKey: 'k' });
    await sleep(20);
    made.end(done);
    expect(await outcome).toEqual(done);
  });
});

describe('a call that is cancelled when it ends', () => {
  it.each(['cancel first', 'end first'])('is one or the other for everybody: %s', async (order) => {
    const { app, waits } = await withWaiting();
    const id = await handedOver(app);
    const end = async () => waits.finish();
    const cancel = () => app.use('cancel_run', { run_id: id }).catch((error: WeaverError) => error.code);
    const [cancelling] = order === 'cancel first' ? [cancel(), end()] : [end().then(cancel), undefined];
    const said = await cancelling;
    await until(async () => (await eventsOf(app)).length > 0, 5_000);
    const { status } = await show(app, id);
    expect(['done', 'cancelled']).toContain(status);
    expect(said).toEqual(status === 'cancelled' ? expect.objectContaining({ status: 'cancelled' }) : 'conflict');
    expect(await eventsOf(app)).toHaveLength(1);
  });
});

describe('a call that was cancelled', () => {
  it('asks nobody any more', async () => {
    const { app, waits } = await withWaiting({ runTimes: { leaseMs: hour, renewMs: hour, lookMs: hour } });
    const id = await handedOver(app);
    await app.use('cancel_run', { run_id: id });
    const form = { type: 'object', properties: { yes: { type: 'boolean' } } } as const;
    const question = { id: 'q_1', message: 'Go on?', form, for: 'anyone', expiresAt: Date.now() + hour } as const;
    waits.finish({ status: 'asks', question, runId: id });
    await until(async () => (await eventsOf(app)).length > 0, 5_000);
    await app.database.write(async () => {});
    expect(await show(app, id)).toMatchObject({ status: 'cancelled' });
    expect(await app.database.read.selectFrom('questions').selectAll().execute()).toEqual([]);
  });
});

describe('an idempotency key', () => {
  const keyed = (more: Partial<CallRequest> = {}): Partial<CallRequest> => ({
    tool: 'counts',
    idempotencyKey: 'k',
    ...more,
  });
  const counting = () => {
    let calls = 0;
    return testTool('counts', async (input) => {
      calls++;
      if ((input as { fails?: boolean }).fails) throw new WeaverError('conflict', `call ${calls}`);
      return { status: 'done', value: { calls } };
    });
  };

  it.each([
    ['done', {}],
    ['failed', { fails: true }],
  ])('gives the kept outcome of a call that is %s, without calling again', async (_, input) => {
    const counts = counting();
    const app = await testApp({ moreTools: [counts.tool] });
    const first = await call(app, keyed({ input }));
    expect(await call(app, keyed({ input }))).toEqual(first);
    const forwarded = keyed({ tool: 'call_tool', input: { name: 'counts', input } });
    expect(await call(app, forwarded)).toEqual(first);
    expect(counts.runs).toHaveLength(1);
    expect(await eventsOf(app, 'counts')).toHaveLength(3);
  });

  it('gives the question of a call that asks, again as the same run', async () => {
    const asks = askingTool();
    const app = await testApp({ moreTools: [asks.tool] });
    const first = await call(app, keyed({ tool: 'asks' }));
    expect(first.status).toBe('asks');
    expect(await call(app, keyed({ tool: 'asks' }))).toEqual(first);
    expect(asks.runs).toHaveLength(1);
    const { runId, question } = first as Extract<Outcome, { status: 'asks' }>;
    await app.use('answer_run', { run_id: runId, question_id: question.id, answer: { yes: true } });
    expect(await call(app, keyed({ tool: 'asks' }))).toMatchObject({
      status: 'done',
      value: { answer: { yes: true } },
    });
    expect(asks.runs).toHaveLength(2);
  });

  it('is refused for another input, tool or version', async () => {
    const counts = counting();
    const app = await testApp({ moreTools: [counts.tool, askingTool().tool] });
    await call(app, keyed({ input: { a: 1, b: 2 } }));
    expect(codeOf(await call(app, keyed({ input: { b: 2, a: 1 } })))).toBe('done');
    expect(codeOf(await call(app, keyed({ input: { a: 1 } })))).toBe('conflict');
    expect(codeOf(await call(app, keyed({ input: { a: 1, b: 2 }, tool: 'asks' })))).toBe('conflict');
    expect(counts.runs).toHaveLength(1);
  });

  it('with the same input for another version of a skill is refused, and is the same after the skill has changed', async () => {
    const app = await testApp({ settings: { approval: 'auto' } });
    await app.save();
    const twice = (more: Partial<CallRequest> = {}) => call(app, keyed({ tool: 'double', input: { x: 4 }, ...more }));
    expect(await twice()).toEqual({ status: 'done', value: { y: 8 } });
    const code = 'export default async function run(input) { return { y: input.x * 2 + 0 * 1 }; }';
    await app.save({ code });
    expect(await twice()).toEqual({ status: 'done', value: { y: 8 } });
    expect(codeOf(await twice({ version: '1.0.0' }))).toBe('conflict');
    expect(codeOf(await twice({ tool: 'double@^1' }))).toBe('conflict');
  });

  it('stands for nothing where the input was refused', async () => {
    const app = await testApp();
    const wrong = keyed({ tool: 'list_runs', input: { limit: 0 } });
    expect(codeOf(await call(app, wrong))).toBe('bad_input');
    expect(codeOf(await call(app, keyed({ tool: 'list_runs', input: { limit: 1 } })))).toBe('done');
  });

  it('is free again after a call that was refused as busy', async () => {
    const counts = testTool('counts', async () => {
      if (counts.runs.length === 1) throw new WeaverError('busy', 'too much is under way');
      return { status: 'done', value: 1 };
    });
    const app = await testApp({ moreTools: [counts.tool] });
    expect(codeOf(await call(app, keyed()))).toBe('busy');
    expect(codeOf(await call(app, keyed()))).toBe('done');
    expect(codeOf(await call(app, keyed()))).toBe('done');
    expect(counts.runs).toHaveLength(2);
  });

  it('of another principal or tenant is another key', async () => {
    const counts = counting();
    const app = await testApp({ moreTools: [counts.tool] });
    const others = [
      agent,
      createPrincipal('agent:bob', 'agent', ['author']),
      createPrincipal(agent.id, 'agent', ['author'], { tenant: 'other' }),
      person,
    ];
    for (const principal of others) await call(app, keyed({ principal }));
    expect(counts.runs).toHaveLength(4);
  });

  it('is new an hour after its call', async () => {
    const counts = counting();
    const app = await testApp({ moreTools: [counts.tool] });
    await call(app, keyed());
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + hour - 10_000 });
    try {
      expect(await call(app, keyed())).toMatchObject({ value: { calls: 1 } });
      vi.setSystemTime(Date.now() + 20_000);
      expect(await call(app, keyed({ input: { other: true } }))).toMatchObject({ value: { calls: 2 } });
    } finally {
      vi.useRealTimers();
    }
  });

  it.each(['one process', 'two processes'])('lets twins at the same moment in %s wait for the first', async (where) => {
    const file = join(temporaryFolder(), 'db');
    const waits = waitingTool();
    const first = await testApp({ file, moreTools: [waits.tool], runTimes: quick });
    const other = where === 'one process' ? first : await testApp({ file, moreTools: [waits.tool], runTimes: quick });
    const request = { idempotencyKey: 'k', input: { x: 1 } };
    const twins = [first, other, other].map((app) => call(app, request));
    await until(() => waits.runs.length > 0, 5_000);
    await sleep(150);
    waits.finish({ status: 'done', value: { y: 2 } });
    for (const outcome of await Promise.all(twins)) expect(outcome).toEqual({ status: 'done', value: { y: 2 } });
    expect(waits.runs).toHaveLength(1);
  });

  it('lets a twin go on in the background as the run of the first', async () => {
    const { app, waits } = await withWaiting();
    const request = { idempotencyKey: 'k' };
    const first = await handedOver(app, request);
    expect(await handedOver(app, request)).toBe(first);
    waits.finish();
    expect(await isNow(app, first, 'done')).toBe(true);
    expect(await call(app, request)).toMatchObject({ status: 'done' });
    expect(waits.runs).toHaveLength(1);
  });

  it('makes a run of the call at once, which cancel_run ends for its caller', async () => {
    const { app, waits } = await withWaiting();
    const outcome = call(app, { idempotencyKey: 'k' });
    await until(() => waits.runs.length === 1, 5_000);
    const { runs } = (await app.use('list_runs')) as { runs: { run_id: string; status: string }[] };
    expect(runs).toMatchObject([{ status: 'running' }]);
    await app.use('cancel_run', { run_id: runs[0]?.run_id });
    expect(codeOf(await outcome)).toBe('cancelled');
    expect(codeOf(await call(app, { idempotencyKey: 'k' }))).toBe('cancelled');
    expect(waits.runs).toHaveLength(1);
  });

  it('lets the caller of a twin stop waiting, and only that', async () => {
    const { app, waits } = await withWaiting();
    const first = call(app, { idempotencyKey: 'k' });
    await until(() => waits.runs.length === 1, 5_000);
    const caller = new AbortController();
    const twin = call(app, { idempotencyKey: 'k', signal: caller.signal });
    caller.abort();
    expect(codeOf(await twin)).toBe('cancelled');
    waits.finish();
    expect(codeOf(await first)).toBe('done');
  });
});
