import { describe, expect, it } from 'vitest';
import { createPrincipal } from '../../src/access/principals.ts';
import type { Question } from '../../src/contracts.ts';
import { findQuestion, insertQuestion, keepAnswer } from '../../src/runs/questions.ts';
import {
  endRun,
  findByKey,
  findRun,
  forgetExpired,
  insertRun,
  listRuns,
  moveRun,
  type NewRun,
  retentionMs,
} from '../../src/runs/table.ts';
import { type Database, openDatabase } from '../../src/store/database.ts';

const now = 1_700_000_000_000;
const hour = 3_600_000;
const day = 24 * hour;
const ada = createPrincipal('agent:ada', 'agent', ['author']);
const key = { tenant: 'local', id: 'run_1' };

const row = (fields: Partial<NewRun> = {}): NewRun => ({
  id: 'run_1',
  tool: 'double',
  request: { input: { x: 1 }, principal: ada, via: 'mcp' },
  state: 'running',
  leaseUntil: now + 30_000,
  expiresAt: now + hour,
  ...fields,
});

const question = (fields: Partial<Question> = {}): Question => ({
  id: 'q_1',
  message: 'Go on?',
  form: { type: 'object', properties: { yes: { type: 'boolean' } } },
  for: 'anyone',
  expiresAt: now + hour,
  ...fields,
});

const answerOf = (value: Record<string, boolean>, questionId = 'q_1') =>
  ({ questionId, value, by: ada, how: 'tool', at: now }) as const;

const open = (): Promise<Database> => openDatabase(':memory:');
const insert = (database: Database, fields?: Partial<NewRun>, at = now) =>
  database.write((trx) => insertRun(trx, row(fields), at));

describe('a kept run', () => {
  it('is found with its request until it expires, and is forgotten after that', async () => {
    const database = await open();
    await insert(database, { state: 'done' });
    await insert(database, { id: 'run_2', expiresAt: now + 3 * hour });
    expect(await findRun(database.read, key, now + hour)).toMatchObject({
      id: 'run_1',
      tool: 'double',
      principal: 'agent:ada',
      state: 'done',
      request: { input: { x: 1 }, principal: { id: 'agent:ada' }, via: 'mcp' },
    });
    expect(await findRun(database.read, key, now + hour + 1)).toBeUndefined();
    expect(await listRuns(database.read, 'local', { limit: 10, state: 'done' }, now + hour + 1)).toEqual([]);
    expect(await database.write((trx) => forgetExpired(trx, 'local', now + hour + 1))).toBe(now + 3 * hour);
    expect(await database.read.selectFrom('runs').select('id').execute()).toEqual([{ id: 'run_2' }]);
  });

  it('that is under way has not expired, whatever the clock says', async () => {
    const database = await open();
    await insert(database, { key: { idempotencyKey: 'k', inputHash: 'h' } });
    const tomorrow = now + day;
    expect(await findRun(database.read, key, tomorrow)).toMatchObject({ state: 'running' });
    await database.write((trx) => forgetExpired(trx, 'local', tomorrow));
    const again = { id: 'run_2', key: { idempotencyKey: 'k', inputHash: 'h' }, expiresAt: tomorrow + hour };
    expect(await insert(database, again, tomorrow)).toBe(false);
    expect(await findByKey(database.read, ada, 'k', tomorrow)).toMatchObject({ run: { id: 'run_1' } });
  });

  it('of another tenant is not found', async () => {
    const database = await open();
    await insert(database);
    expect(await findRun(database.read, { ...key, tenant: 'other' }, now)).toBeUndefined();
    expect(await listRuns(database.read, 'other', { limit: 10 }, now)).toEqual([]);
    expect(await database.write((trx) => endRun(trx, { ...key, tenant: 'other' }, done, now))).toBe(false);
  });

  it('ends once: what comes second changes nothing', async () => {
    const database = await open();
    await insert(database);
    const cancelled = {
      state: 'cancelled',
      outcome: { code: 'cancelled', message: 'no' },
      expiresAt: now + day,
    } as const;
    expect(await database.write((trx) => endRun(trx, key, cancelled, now))).toBe(true);
    expect(await database.write((trx) => endRun(trx, key, done, now))).toBe(false);
    expect(await findRun(database.read, key, now)).toMatchObject({ state: 'cancelled', error: { code: 'cancelled' } });
  });

  it('moves only from the state that it is in', async () => {
    const database = await open();
    await insert(database);
    const asks = { state: 'asks', leaseUntil: now + hour, expiresAt: now + day } as const;
    expect(await database.write((trx) => moveRun(trx, key, { from: 'asks' }, asks, now))).toBe(false);
    expect(await database.write((trx) => moveRun(trx, key, { from: 'running' }, asks, now))).toBe(true);
    expect(await database.write((trx) => moveRun(trx, key, { from: 'running' }, asks, now))).toBe(false);
    expect(await findRun(database.read, key, now)).toMatchObject({ state: 'asks', expiresAt: now + day });
  });

  it('that asks has failed once the time to answer is over', async () => {
    const database = await open();
    await insert(database, { state: 'asks', leaseUntil: now + 60_000 });
    await database.write((trx) => insertQuestion(trx, key, question({ expiresAt: now + 60_000 }), now));
    expect(await findRun(database.read, key, now + 60_000)).toMatchObject({ state: 'asks', question: { id: 'q_1' } });
    const late = await findRun(database.read, key, now + 60_001);
    expect(late).toMatchObject({ state: 'failed', error: { code: 'timed_out' } });
    expect(late).not.toHaveProperty('question');
  });
});

const done = { state: 'done', outcome: { y: 2 }, expiresAt: now + day } as const;

describe('a list of runs', () => {
  it('has the newest first, at most so many, and only one principal where that is asked', async () => {
    const database = await open();
    const bob = createPrincipal('agent:bob', 'agent', ['author']);
    for (const [index, principal] of [ada, bob, ada, ada].entries()) {
      await insert(database, { id: `run_${index}`, request: { input: {}, principal, via: 'mcp' } }, now + index);
    }
    const idsOf = async (filter: { principal?: string; limit: number }) =>
      (await listRuns(database.read, 'local', filter, now)).map(({ id }) => id);
    expect(await idsOf({ limit: 10 })).toEqual(['run_3', 'run_2', 'run_1', 'run_0']);
    expect(await idsOf({ limit: 2 })).toEqual(['run_3', 'run_2']);
    expect(await idsOf({ principal: 'agent:ada', limit: 2 })).toEqual(['run_3', 'run_2']);
    expect(await idsOf({ principal: 'agent:bob', limit: 10 })).toEqual(['run_1']);
  });

  it('by state says the same as the run itself, also of those without an answer in time', async () => {
    const database = await open();
    const states: [string, Partial<NewRun>][] = [
      ['runs', { leaseUntil: now + 1 }],
      ['asks', { state: 'asks', leaseUntil: now + 1 }],
      ['late', { state: 'asks', leaseUntil: now - 1 }],
      ['done', { state: 'done', value: 1 }],
    ];
    for (const [id, fields] of states) await insert(database, { id, ...fields });
    for (const state of ['running', 'asks', 'done', 'failed', 'cancelled'] as const) {
      const listed = await listRuns(database.read, 'local', { state, limit: 10 }, now);
      expect(listed.map((run) => run.state)).toEqual(listed.map(() => state));
      for (const { id } of listed) expect(await findRun(database.read, { ...key, id }, now)).toMatchObject({ state });
    }
    const failed = await listRuns(database.read, 'local', { state: 'failed', limit: 10 }, now);
    expect(failed.map(({ id, error }) => [id, error?.code])).toEqual([['late', 'timed_out']]);
  });

  it('holds neither results nor inputs, which may be large', async () => {
    const database = await open();
    await insert(database, { state: 'done', value: 'x'.repeat(100_000) });
    const [run] = await listRuns(database.read, 'local', { limit: 10 }, now);
    expect(JSON.stringify(run).length).toBeLessThan(1_000);
    expect(run).toMatchObject({ state: 'done', tool: 'double' });
  });
});

describe('an idempotency key', () => {
  const keyed = { key: { idempotencyKey: 'k', inputHash: 'h' } };

  it('stands for one run of its principal, and for another one of any other', async () => {
    const database = await open();
    expect(await insert(database, keyed)).toBe(true);
    expect(await insert(database, { id: 'run_2', ...keyed })).toBe(false);
    const others = [
      createPrincipal('agent:bob', 'agent', ['author']),
      createPrincipal('agent:ada', 'agent', ['author'], { tenant: 'other' }),
    ];
    for (const [index, principal] of others.entries()) {
      const request = { input: {}, principal, via: 'mcp' } as const;
      expect(await insert(database, { id: `run_${index + 3}`, ...keyed, request })).toBe(true);
      expect(await findByKey(database.read, principal, 'k', now)).toMatchObject({ run: { id: `run_${index + 3}` } });
    }
    expect(await findByKey(database.read, ada, 'k', now)).toMatchObject({ run: { id: 'run_1' }, inputHash: 'h' });
  });

  it('is new once its run has expired', async () => {
    const database = await open();
    await insert(database, { ...keyed, state: 'done' });
    expect(await findByKey(database.read, ada, 'k', now + hour + 1)).toBeUndefined();
    expect(await insert(database, { id: 'run_2', ...keyed, expiresAt: now + 3 * hour }, now + hour + 1)).toBe(true);
  });

  it('leaves runs without one alone', async () => {
    const database = await open();
    expect(await insert(database)).toBe(true);
    expect(await insert(database, { id: 'run_2' })).toBe(true);
  });
});

describe('a question', () => {
  it('takes one answer, and only as a question of its own run', async () => {
    const database = await open();
    await insert(database, { state: 'asks' });
    await insert(database, { id: 'run_2', state: 'asks' });
    await database.write((trx) => insertQuestion(trx, key, question(), now));
    const keep = (id: string, value: Record<string, boolean>, questionId?: string) =>
      database.write((trx) => keepAnswer(trx, { ...key, id }, answerOf(value, questionId)));
    expect(await keep('run_2', { yes: true })).toBe(false);
    expect(await keep('run_1', { yes: true }, 'q_2')).toBe(false);
    expect(await keep('run_1', { yes: true })).toBe(true);
    expect(await keep('run_1', { yes: false })).toBe(false);
    expect(await findQuestion(database.read, key, 'q_1')).toEqual({
      question: question(),
      answer: { value: { yes: true }, by: 'agent:ada' },
    });
    expect(await findQuestion(database.read, { ...key, id: 'run_2' }, 'q_1')).toBeUndefined();
  });

  it('goes with its run', async () => {
    const database = await open();
    await insert(database, { state: 'asks', expiresAt: now });
    await database.write((trx) => insertQuestion(trx, key, question(), now));
    await database.write((trx) => forgetExpired(trx, 'local', now + hour));
    expect(await database.read.selectFrom('questions').selectAll().execute()).toEqual([]);
  });
});

it('outcomes are kept for an hour, those of runs that outlived their call for 30 days', () => {
  expect(retentionMs).toEqual({ plain: hour, kept: 30 * day });
});
