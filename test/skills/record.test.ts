import { describe, expect, it } from 'vitest';
import { createLog } from '../../src/log.ts';
import { insertRecordings } from '../../src/recordings/table.ts';
import { defaultLimits, type Job, type JobResult } from '../../src/sandbox/sandbox.ts';
import { recorded } from '../../src/skills/record.ts';
import { agent } from '../helpers/app.ts';
import { bare, saveSkill } from '../helpers/drafts.ts';
import { newRecording, recordingApp } from '../helpers/recordings.ts';
import { testTool } from '../helpers/test-tools.ts';

const lines: string[] = [];
const log = createLog('warn', { write: (line) => void lines.push(line) });
const rowsOf = (app: Awaited<ReturnType<typeof recordingApp>>) =>
  app.database.read.selectFrom('recordings').selectAll().execute();

describe('runs', () => {
  it('are not recorded unless a setting says how many', async () => {
    const app = await recordingApp({ settings: { recordRuns: 0 } });
    await app.save();
    expect(await app.use('double', { x: 2 })).toEqual({ y: 4 });
    await app.close();
    expect(app.recorder).toBeUndefined();
  });

  it('are recorded for nested calls of their own, and not for other tools', async () => {
    const app = await recordingApp();
    await app.save();
    await saveSkill(app, 'outer', 'return ctx.tools.double({ x: 1 });');
    await app.use('outer');
    await app.use('run_code', { code: 'return 1' });
    await app.recorder?.flush();
    expect((await rowsOf(app)).map(({ tool, principal }) => [tool, principal]).sort()).toEqual([
      ['double', agent.id],
      ['outer', agent.id],
    ]);
  });

  it('that are too large are not kept, and the log says so once; the call is the same', async () => {
    lines.length = 0;
    const { tool } = testTool('big', async () => ({ status: 'done', value: 'x'.repeat(400_000) }));
    const app = await recordingApp({ log, moreTools: [tool] });
    await saveSkill(
      app,
      'asks',
      'let n = 0; for (let i = 0; i < input.times; i++) n += (await ctx.tools.big({ i })).length; return { n };',
    );
    for (const times of [3, 3, 2]) expect(await app.use('asks', { times })).toEqual({ n: times * 400_000 });
    expect(await app.recorded('asks')).toHaveLength(1);
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      expect.objectContaining({ tool: 'asks', maxBytes: 1_000_000, msg: expect.stringContaining('too large') }),
    ]);
  });

  it('that their caller or the time ended are not kept, those that failed by themselves are', async () => {
    const { tool } = testTool('waits', () => new Promise(() => {}));
    const app = await recordingApp({ moreTools: [tool] });
    await saveSkill(app, 'asks', 'return ctx.tools.waits({});');
    const soon = { deadlineAt: Date.now() + 500 };
    await expect(app.use('asks', {}, soon)).rejects.toMatchObject({ code: 'timed_out' });
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 50);
    await expect(app.use('asks', {}, { signal: stop.signal })).rejects.toMatchObject({ code: 'cancelled' });
    expect(await app.recorded('asks')).toEqual([]);
    await saveSkill(app, 'asks', 'throw new Error("no");');
    await expect(app.use('asks')).rejects.toMatchObject({ code: 'skill_failed' });
    expect(await app.recorded('asks')).toHaveLength(1);
  });

  it('are kept for another tenant apart', async () => {
    const app = await recordingApp();
    const other = { principal: { ...agent, tenant: 'other' } };
    await app.use('save_skill', bare(), other);
    await app.use('double', { x: 2 }, other);
    expect(await app.recorded('double')).toEqual([]);
    expect((await rowsOf(app)).map(({ tenant }) => tenant)).toEqual(['other']);
  });

  it('are forgotten by the worker when they have expired, also where nothing is recorded any more', async () => {
    const app = await recordingApp({ settings: { recordRuns: 0 } });
    const { recording, of } = newRecording('old');
    const [key] = await app.ring.ensure();
    const past = { of, recording, at: Date.now() - 2_000, expiresAt: Date.now() - 1_000 };
    await app.database.write((trx) => insertRecordings(trx, key, [past], 10, Date.now()));
    app.worker.start();
    await expect.poll(async () => (await rowsOf(app)).length, { timeout: 10_000 }).toBe(0);
  });
});

describe('a job that is noted down', () => {
  const job = (callTool: Job['callTool']): Job => ({
    ...{ id: '1', owner: 'o', program: { hash: 'h', text: '' }, input: { a: 1 }, limits: defaultLimits },
    ...{ now: 5, seed: 6, callTool, signal: new AbortController().signal },
  });
  const { signal } = new AbortController();
  const usage = { wallMs: 0, cpuMs: 0, hostCalls: 0 };
  const done = (value: unknown): JobResult => ({ ok: true, value, logs: [], usage });

  it('keeps what crossed, not what became of it later', async () => {
    const value = { list: [1] };
    const noted = recorded(job(async () => value));
    const argument = { b: 2 };
    const answer = await noted.job.callTool('x', argument, signal);
    argument.b = 3;
    value.list.push(2);
    expect(answer).toBe(value);
    expect(noted.end(done(null)).recording).toEqual({
      ...{ input: '{"a":1}', now: 5, seed: 6, ending: { value: null } },
      calls: [{ name: 'x', input: '{"b":2}', order: 0, value: '{"list":[1]}' }],
    });
  });

  it('keeps nothing that was answered after its end', async () => {
    let answer: (value: unknown) => void = () => {};
    const noted = recorded(job(() => new Promise((resolve) => (answer = resolve))));
    const late = noted.job.callTool('x', {}, signal);
    const { recording } = noted.end(done(1));
    answer('late');
    await late;
    expect(recording?.calls).toEqual([{ name: 'x', input: '{}' }]);
  });

  it('is no recording when what went in or out is over the limit, whatever it was', async () => {
    const big = 'x'.repeat(100);
    for (const [input, value, result] of [
      [big, 1, 1],
      [1, big, 1],
      [1, 1, big],
    ]) {
      const noted = recorded(
        job(async () => value),
        90,
      );
      await noted.job.callTool('x', input, signal);
      const { recording, bytes } = noted.end(done(result));
      expect([recording, bytes > 90]).toEqual([undefined, true]);
    }
    const failing = recorded(
      job(async () => {
        throw new Error(big);
      }),
      90,
    );
    await expect(failing.job.callTool('x', 1, signal)).rejects.toThrow(big);
    expect(failing.end(done(1)).bytes).toBeGreaterThan(90);
  });
});
