import { describe, expect, it } from 'vitest';
import { WeaverError } from '../../src/errors.ts';
import { setSecret } from '../../src/secrets/table.ts';
import { replayFor } from '../../src/skills/replay-review.ts';
import { person } from '../helpers/app.ts';
import { deno, needsDeno } from '../helpers/deno.ts';
import { saveSkill } from '../helpers/drafts.ts';
import { watchdogMs } from '../helpers/process.ts';
import { type RecordingApp, recordingApp } from '../helpers/recordings.ts';
import { testTool } from '../helpers/test-tools.ts';
import { openWorld } from '../helpers/world.ts';

const doubleAtNoon = `
  const { y } = await ctx.tools.double({ x: input.x });
  return { y, at: ctx.now(), made: new Date().getTime(), luck: [ctx.random(), Math.random()] };
`;

/** A tool of the world: counts how often it is reached, and answers that or fails. */
function world() {
  const made = testTool('reach', async (input) => {
    const { fail } = input as { fail?: boolean };
    if (fail) throw new WeaverError('unavailable', 'reach is down.', { hint: 'Wait.', details: { retryable: true } });
    return { status: 'done', value: { count: made.runs.length } };
  });
  return { ...made, count: () => made.runs.length };
}

async function appWithWorld(settings = {}): Promise<RecordingApp & { count(): number }> {
  const { tool, count } = world();
  return { ...(await recordingApp({ moreTools: [tool], settings })), count };
}

const latest = async (app: RecordingApp, tool: string): Promise<string> => (await app.recorded(tool))[0] ?? 'none';

describe('a recorded run', () => {
  it('is equal when its own version is replayed, with the clock and luck of that time', async () => {
    const app = await recordingApp();
    await app.save();
    await saveSkill(app, 'outer', doubleAtNoon);
    const value = await app.use('outer', { x: 3 });
    const run = await latest(app, 'outer');
    expect(await app.replayed(run)).toEqual({ result: 'equal' });
    const recording = await app.opened(run);
    expect(recording).toEqual({
      input: '{"x":3}',
      now: (value as { at: number }).at,
      seed: expect.any(Number),
      calls: [{ name: 'double', input: '{"x":3}', order: 0, value: '{"y":6}' }],
      ending: { value },
    });
    expect(await app.recorded('double')).toHaveLength(1);
  });

  it('is found by the id of its run and of its call', async () => {
    const app = await recordingApp();
    await app.save();
    await app.use('double', { x: 3 });
    await app.sink.flush();
    const [call] = await app.database.read.selectFrom('calls').select('id').where('tool', '=', 'double').execute();
    expect(await app.recorded('double')).toHaveLength(1);
    expect(await app.replayed(call?.id ?? '')).toEqual({ result: 'equal' });
  });

  it('is changed by a version that answers something else, and says what', async () => {
    const app = await recordingApp();
    await app.save();
    await saveSkill(app, 'outer', doubleAtNoon);
    const value = (await app.use('outer', { x: 3 })) as object;
    const run = await latest(app, 'outer');
    await saveSkill(app, 'outer', doubleAtNoon.replace('return { y,', 'return { y: y + 1,'));
    expect(await app.replayed(run, '1.0.1')).toEqual({
      result: 'changed',
      before: { value },
      after: { value: { ...value, y: 7 } },
      notMade: [],
    });
    expect(await app.replayed(run)).toEqual({ result: 'equal' });
  });

  it('fails with a version that calls something else, and nothing is reached', async () => {
    const app = await appWithWorld();
    await saveSkill(app, 'asks', 'return ctx.tools.reach({ a: 1, b: [2] });');
    await app.use('asks');
    const run = await latest(app, 'asks');
    expect([app.count(), await app.replayed(run)]).toEqual([1, { result: 'equal' }]);
    for (const [body, input] of [
      ['try { return await ctx.tools.reach({ a: 2 }); } catch { return { count: 1 }; }', { a: 2 }],
      ['await ctx.tools.reach({ b: [2], a: 1 }); return ctx.tools.reach({ a: 1, b: [2] });', { a: 1, b: [2] }],
    ] as const) {
      const { version } = await saveSkill(app, 'asks', body);
      expect(await app.replayed(run, String(version))).toEqual({
        result: 'failed',
        reason: expect.stringContaining('did not make this call'),
        call: { name: 'reach', input },
      });
    }
    expect(app.count()).toBe(1);
    expect(await app.recorded('asks')).toEqual([run]);
  });

  it('is changed by a version that leaves a call out, though it answers the same', async () => {
    const app = await appWithWorld();
    await saveSkill(app, 'asks', 'await ctx.tools.reach({ a: 1 }); return { fine: true };');
    await app.use('asks');
    const run = await latest(app, 'asks');
    await saveSkill(app, 'asks', 'return { fine: true };');
    expect(await app.replayed(run, '1.0.1')).toMatchObject({
      result: 'changed',
      notMade: [{ name: 'reach', input: { a: 1 } }],
    });
  });

  it('has the errors of that time, for code that catches them and code that does not', async () => {
    const app = await appWithWorld();
    const caught =
      'return ctx.tools.reach({ fail: true }).catch((e) => ({ is: e instanceof ToolError, code: e.code, message: e.message }));';
    await saveSkill(app, 'asks', caught);
    const value = await app.use('asks');
    const run = await latest(app, 'asks');
    expect(value).toMatchObject({ is: true, code: 'unavailable', message: expect.stringContaining('Wait.') });
    expect([await app.replayed(run), app.count()]).toEqual([{ result: 'equal' }, 1]);

    await saveSkill(app, 'throws', 'await ctx.tools.reach({ fail: true });');
    await expect(app.use('throws')).rejects.toMatchObject({ code: 'skill_failed' });
    const thrown = await latest(app, 'throws');
    expect(await app.replayed(thrown)).toEqual({ result: 'equal' });
    await saveSkill(app, 'throws', '\n\n\nawait ctx.tools.reach({ fail: true });');
    expect(await app.replayed(thrown, '1.0.1')).toEqual({ result: 'equal' });
    await saveSkill(app, 'throws', 'try { await ctx.tools.reach({ fail: true }); } catch { return 1; }');
    expect(await app.replayed(thrown, '1.0.2')).toMatchObject({ result: 'changed', after: { value: 1 } });
  });

  it('has its answers in the order in which they came', async () => {
    const waits: (() => void)[] = [];
    const { tool, runs } = testTool('slow', async (input) => {
      await new Promise<void>((resolve) => waits.push(resolve));
      return { status: 'done', value: input };
    });
    const app = await recordingApp({ moreTools: [tool] });
    const order = `
      const came = [];
      await Promise.all([1, 2, 3].map((n) => ctx.tools.slow({ n }).then(() => came.push(n))));
      const late = await Promise.race([ctx.tools.slow({ n: 4 }).then(() => 4), ctx.tools.slow({ n: 5 }).then(() => 5)]);
      return { came, late };`;
    await saveSkill(app, 'races', order);
    const outcome = app.use('races');
    const release = async (count: number, order: number[]) => {
      await expect.poll(() => waits.length, { timeout: watchdogMs }).toBe(count);
      for (const at of order) {
        waits[at]?.();
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    await release(3, [2, 0, 1]);
    await release(5, [4]);
    expect(await outcome).toEqual({ came: [3, 1, 2], late: 5 });
    const run = await latest(app, 'races');
    for (let times = 0; times < 3; times++) expect(await app.replayed(run)).toEqual({ result: 'equal' });

    // One after the other, in place of all at once.
    const serial = 'const came = []; for (const n of [1, 2, 3]) { await ctx.tools.slow({ n }); came.push(n); }';
    await saveSkill(app, 'races', `${serial} return { came };`);
    expect(await app.replayed(run, '1.0.1')).toMatchObject({
      result: 'changed',
      after: { value: { came: [1, 2, 3] } },
      notMade: [{ input: { n: 4 } }, { input: { n: 5 } }],
    });
    expect(runs).toHaveLength(5);
  });

  it('fails with a version that waits for an answer which the run did not wait for', async () => {
    const { tool } = testTool('slow', (input, { signal }) =>
      (input as { n: number }).n === 1
        ? new Promise((_, reject) => signal.addEventListener('abort', () => reject(new WeaverError('cancelled', 'x'))))
        : Promise.resolve({ status: 'done', value: input }),
    );
    const app = await recordingApp({ moreTools: [tool] });
    await saveSkill(app, 'races', 'return Promise.race([ctx.tools.slow({ n: 1 }), ctx.tools.slow({ n: 2 })]);');
    await app.use('races');
    const run = await latest(app, 'races');
    expect(await app.replayed(run)).toEqual({ result: 'equal' });
    await saveSkill(app, 'races', 'return Promise.all([ctx.tools.slow({ n: 1 }), ctx.tools.slow({ n: 2 })]);');
    expect(await app.replayed(run, '1.0.1')).toEqual({
      result: 'failed',
      reason: expect.stringContaining('ended before'),
      call: { name: 'slow', input: { n: 1 } },
    });
  });

  it('has the answers of servers and the files of that time', async () => {
    const world = openWorld();
    let asked = 0;
    await world.serve('https://api.example.com', (request, response) => {
      response.end(`answer ${++asked} to ${request.headers.authorization}`);
    });
    const app = await recordingApp({ transport: world.transport });
    const token = { name: 'TOKEN', value: 'correct-horse-battery', hosts: ['api.example.com'] };
    await setSecret(app.database, app.ring, person, token, Date.now());
    const capabilities = { net: ['GET api.example.com'], secrets: ['TOKEN'], files: 'write' };
    const headers = "{ authorization: 'Bearer {{secret:TOKEN}}' }";
    const body = `
      const got = await (await ctx.fetch('https://api.example.com/', { headers: ${headers} })).text();
      await ctx.files.append('log.txt', got);
      return { got, log: await ctx.files.read('log.txt') };`;
    await saveSkill(app, 'asks', body, { capabilities });
    const got = 'answer 1 to Bearer [secret:TOKEN]';
    expect(await app.use('asks')).toEqual({ got, log: got });
    const run = await latest(app, 'asks');
    for (let times = 0; times < 2; times++) expect(await app.replayed(run)).toEqual({ result: 'equal' });
    const recording = await app.opened(run);
    expect(recording.calls.map(({ name }) => name)).toEqual(['ctx.fetch', 'ctx.files.append', 'ctx.files.read']);
    expect(JSON.stringify(recording)).not.toContain('correct-horse');
    await saveSkill(app, 'asks', body.replace("'log.txt', got", "'other.txt', got"), { capabilities });
    expect(await app.replayed(run, '1.0.1')).toMatchObject({
      result: 'failed',
      call: { name: 'ctx.files.append', input: { path: 'other.txt', text: got } },
    });
    expect(asked).toBe(1);
    expect(await app.use('call_tool', { name: 'asks@1.0.0', input: {} })).toMatchObject({
      log: `${got}${got.replace('1', '2')}`,
    });
  });

  it.skipIf(needsDeno !== '')(`is replayed by the engine of the version${needsDeno}`, async () => {
    const { tool, count } = world();
    const app = await recordingApp({ moreTools: [tool], settings: { denoPath: deno } });
    const body = `
      const got = await Promise.race([ctx.tools.reach({ a: 1 }), ctx.tools.reach({ a: 2 })]);
      return { got, host: new URL('https://a.test/').host, at: ctx.now(), now: Date.now(), luck: [ctx.random(), Math.random()] };`;
    await saveSkill(app, 'asks', body);
    const value = await app.use('asks');
    const run = await latest(app, 'asks');
    const reached = count();
    expect((await app.opened(run)).ending).toEqual({ value });
    for (let times = 0; times < 2; times++) expect(await app.replayed(run)).toEqual({ result: 'equal' });
    await saveSkill(app, 'asks', "await ctx.tools.reach({ a: new URL('https://a.test/').host });");
    expect(await app.replayed(run, '1.0.1')).toMatchObject({ result: 'failed', call: { input: { a: 'a.test' } } });
    expect(count()).toBe(reached);
  });

  it('is judged by the schemas of the version that is replayed', async () => {
    const app = await recordingApp();
    await app.save();
    await app.use('double', { x: 3 });
    const run = await latest(app, 'double');
    const big = { type: 'object', properties: { x: { type: 'number', minimum: 5 } }, required: ['x'] };
    await app.save({ input_schema: big, examples: [] });
    expect(await app.replayed(run, '2.0.0')).toMatchObject({
      result: 'changed',
      after: { error: { code: 'bad_input', message: expect.stringContaining('input.x') } },
    });
    const text = { type: 'object', properties: { y: { type: 'string' } } };
    await app.save({ output_schema: text, examples: [] });
    expect(await app.replayed(run, '3.0.0')).toMatchObject({
      result: 'changed',
      after: { error: { code: 'bad_output', message: expect.stringContaining('output.y') } },
    });
  });

  it('is equal when the run itself answered what its schema does not allow', async () => {
    const app = await recordingApp();
    await app.save({ code: 'export default () => ({ y: "six" });', examples: [] });
    await expect(app.use('double', { x: 3 })).rejects.toMatchObject({ code: 'bad_output' });
    expect(await app.replayed(await latest(app, 'double'))).toEqual({ result: 'equal' });
  });

  it('runs versions that wait for a review or were rejected, since they reach nothing', async () => {
    const app = await appWithWorld({ approval: 'always' });
    await saveSkill(app, 'asks', 'return ctx.tools.reach({ a: 1 });');
    await app.decide('approved');
    await app.use('asks');
    const run = await latest(app, 'asks');
    await saveSkill(app, 'asks', 'const { count } = await ctx.tools.reach({ a: 1 }); return { count };');
    expect(await app.replayed(run, '1.0.1')).toEqual({ result: 'equal' });
    await app.decide('rejected');
    expect([await app.replayed(run, '1.0.1'), app.count()]).toEqual([{ result: 'equal' }, 1]);
  });

  it('is not replayed by what is no version, or is not what was sealed', async () => {
    const app = await recordingApp();
    await app.save();
    await app.use('double', { x: 3 });
    const run = await latest(app, 'double');
    await expect(app.replayed(run, '7.7.7')).rejects.toMatchObject({ code: 'not_found', hint: expect.any(String) });
    await expect(app.replayed(run, '')).rejects.toMatchObject({ code: 'not_found' });
    await app.database.write((trx) => trx.updateTable('versions').set({ seal: 'another' }).execute());
    await expect(app.replayed(run)).rejects.toMatchObject({ code: 'conflict', hint: expect.any(String) });
    await expect(app.replayed(run, '1.0.0')).rejects.toMatchObject({ code: 'conflict' });
  });

  it('stops with its caller, and code that spins ends at its own limit', async () => {
    const app = await recordingApp();
    await saveSkill(app, 'spins', 'if (input.spin) for (;;); return 1;');
    await app.use('spins');
    const run = await latest(app, 'spins');
    await saveSkill(app, 'spins', 'for (;;);');
    expect(await app.replayed(run, '1.0.1')).toMatchObject({
      result: 'changed',
      after: { error: { code: 'limit_exceeded', details: { limit: 'cpu' } } },
    });
  });
});

describe('a review', () => {
  const count = (app: RecordingApp, version: string) =>
    replayFor(app, { tenant: 'local', name: 'asks', version }, new AbortController().signal);

  it('counts how a proposed version does with the latest runs of the active one', async () => {
    const app = await appWithWorld({ approval: 'always' });
    await saveSkill(app, 'asks', 'const { a } = input; await ctx.tools.reach({ a }); return { a };');
    await app.decide('approved');
    expect(await count(app, '1.0.1')).toBeUndefined();
    for (const a of [1, 2, 3, 4]) await app.use('asks', { a });
    await app.recorder?.flush();
    await saveSkill(
      app,
      'asks',
      'const { a } = input; await ctx.tools.reach({ a: a === 4 ? 0 : a }); return { a: a === 3 ? 33 : a };',
    );
    expect(await count(app, '1.0.1')).toEqual({ equal: 2, changed: 1, failed: 1, skipped: 0 });
    expect(app.count()).toBe(4);
    await app.database.write((trx) => trx.updateTable('recordings').set({ sealed: 'AAAA' }).execute());
    expect(await count(app, '1.0.1')).toEqual({ equal: 0, changed: 0, failed: 0, skipped: 4 });
  });

  it('counts no runs of another version, another skill or another tenant', async () => {
    const app = await appWithWorld({ approval: 'auto' });
    await saveSkill(app, 'asks', 'return 1;');
    await app.use('asks');
    await saveSkill(app, 'asks', 'return 2;');
    await saveSkill(app, 'other', 'return 2;');
    await app.use('other');
    await app.recorder?.flush();
    expect(await count(app, '1.0.0')).toBeUndefined();
    await app.use('asks');
    await app.recorder?.flush();
    expect(await count(app, '1.0.0')).toEqual({ equal: 0, changed: 1, failed: 0, skipped: 0 });
    const theirs = { tenant: 'other', name: 'asks', version: '1.0.0' };
    expect(await replayFor(app, theirs, new AbortController().signal)).toBeUndefined();
  });

  it('stops with the person who reads it', async () => {
    const app = await appWithWorld();
    await saveSkill(app, 'asks', 'return 1;');
    await app.use('asks', {}, { principal: person });
    await app.recorder?.flush();
    await saveSkill(app, 'asks', 'return 1;\n');
    await app.use('asks');
    await app.recorder?.flush();
    const stopped = replayFor(app, { tenant: 'local', name: 'asks', version: '1.0.0' }, AbortSignal.abort());
    await expect(stopped).rejects.toMatchObject({ code: 'cancelled' });
  });
});
