import { join } from 'node:path';
import type { Client } from '@modelcontextprotocol/client';
import { describe, expect, it } from 'vitest';
import { localAgent } from '../../src/access/principals.ts';
import { agent, person, type TestApp, testApp } from '../helpers/app.ts';
import { connectInMemory, connectOverHttp, serveHttp, tokenFor } from '../helpers/clients.ts';
import { lenient, patient, saveSkill, works } from '../helpers/drafts.ts';
import { type Era, makeHome, startServer, textOf, until } from '../helpers/process.ts';
import { testTool, waitingTool } from '../helpers/test-tools.ts';

const quick = { leaseMs: 5_000, renewMs: 100, lookMs: 20 };

async function withWaiting(more: Parameters<typeof testApp>[0] = {}) {
  const waits = waitingTool();
  const app = await testApp({ moreTools: [waits.tool], runTimes: quick, ...more });
  return { app, waits };
}

type Result = Awaited<ReturnType<Client['callTool']>>;
const call = (client: Client, name: string, input: Record<string, unknown> = {}): Promise<Result> =>
  client.callTool({ name: 'call_tool', arguments: { name, input } });
const runIdOf = ({ structuredContent }: Result) => String((structuredContent as { run_id?: string }).run_id);
const statusOf = async (client: Client, run_id: string) =>
  (await call(client, 'get_run', { run_id })).structuredContent as { status: string };
const isNow = (client: Client, id: string, status: string) =>
  until(async () => (await statusOf(client, id)).status === status, 5_000);

type Connect = (app: TestApp, era: Era, backgroundAfterMs?: number) => Promise<Client>;
const soonMs = 50;
const places: [string, Connect][] = [
  [
    'in memory',
    (app, era, backgroundAfterMs = soonMs) => connectInMemory({ ...app, backgroundAfterMs }, agent, { era }),
  ],
  [
    'over HTTP',
    (app, era, backgroundAfterMs = soonMs) => connectOverHttp({ ...app, backgroundAfterMs }, { name: 'test' }, { era }),
  ],
];
const newest = ['2025-11-25', '2026-07-28'] as const;

describe.each(places)('a long call %s', (_, connect) => {
  it.each(newest)('of a client of %s answers that it is running, and the result is read later', async (era) => {
    const { app, waits } = await withWaiting();
    const client = await connect(app, era);
    const result = await call(client, 'waits');
    expect(result.isError).toBeFalsy();
    const id = runIdOf(result);
    expect(result.structuredContent).toEqual({
      status: 'running',
      run_id: expect.stringMatching(/^run_/),
      next: `get_run { "run_id": "${id}" }`,
    });
    expect((await call(client, 'list_runs', { status: 'running' })).structuredContent).toMatchObject({
      runs: [{ run_id: id, tool: 'waits' }],
    });
    const rows = Array.from({ length: 3_000 }, (_, i) => ({ i, text: 'some text' }));
    waits.finish({ status: 'done', value: { rows } });
    expect(await isNow(client, id, 'done')).toBe(true);
    const page = await call(client, 'get_run', { run_id: id, path: 'rows', offset: 2_999 });
    expect(page.structuredContent).toMatchObject({ total: 3_000, value: [{ i: 2_999, text: 'some text' }] });
  });

  it.each(newest)('of a client of %s goes on when that client is gone', async (era) => {
    const { app, waits } = await withWaiting();
    const client = await connect(app, era);
    const id = runIdOf(await call(client, 'waits'));
    await client.close();
    expect(waits.runs[0]?.signal.aborted).toBe(false);
    waits.finish();
    const isDone = async () => ((await app.use('get_run', { run_id: id })) as { status: string }).status === 'done';
    expect(await until(isDone, 5_000)).toBe(true);
  });

  it.each(newest)('that a client of %s cancels before has ended', async (era) => {
    const { app, waits } = await withWaiting();
    const client = await connect(app, era, 10_000);
    const abort = new AbortController();
    const result = client.callTool({ name: 'call_tool', arguments: { name: 'waits' } }, { signal: abort.signal });
    result.catch(() => {});
    expect(await until(() => waits.runs.length === 1, 5_000)).toBe(true);
    abort.abort();
    await expect(result).rejects.toThrow();
    expect(await until(() => waits.runs[0]?.signal.aborted === true, 5_000)).toBe(true);
    expect(await app.use('list_runs')).toEqual({ runs: [] });
  });
});

describe('a skill that runs in the background', () => {
  it.each([
    ['waits for a tool', 'return ctx.tools.waits({});'],
    ['never ends', 'for (;;) await ctx.tools.waits({}).catch(() => {});'],
  ])('and %s is stopped by cancel_run', async (_, body) => {
    const { app, waits } = await withWaiting(lenient);
    await saveSkill(app, 'patient', body);
    const client = await connectInMemory({ ...app, backgroundAfterMs: soonMs }, agent, { era: '2025-11-25' });
    const id = runIdOf(await call(client, 'patient'));
    expect(await until(() => waits.runs.length === 1, 5_000)).toBe(true);
    expect((await call(client, 'cancel_run', { run_id: id })).structuredContent).toMatchObject({ status: 'cancelled' });
    expect(await until(() => waits.runs[0]?.signal.aborted === true, 5_000)).toBe(true);
    // Nothing of it is left that could call again.
    await until(() => waits.runs.length > 1, 200);
    expect(waits.runs).toHaveLength(1);
  });

  it('and computes is answered for at once, and the sandbox goes on for others', async () => {
    const { app } = await withWaiting(lenient);
    await saveSkill(app, 'spins', 'for (;;) {}');
    await saveSkill(app, 'quick', 'return { ok: true };');
    const client = await connectInMemory({ ...app, backgroundAfterMs: soonMs }, agent, { era: '2025-11-25' });
    const id = runIdOf(await call(client, 'spins'));
    await call(client, 'cancel_run', { run_id: id });
    expect(await statusOf(client, id)).toMatchObject({ status: 'cancelled', error: { code: 'cancelled' } });
    expect(await app.use('quick')).toEqual({ ok: true });
  });
});

describe('an idempotency key of an MCP client', () => {
  const counting = () => testTool('counts', async () => ({ status: 'done', value: { calls: 1 } }));
  const keyed = (client: Client, key: unknown, input: Record<string, unknown> = {}) =>
    client.callTool({ name: 'counts', arguments: input, _meta: { 'toolweaver/idempotency-key': key } });

  it.each(newest)('of %s gives the outcome of the first call', async (era) => {
    const counts = counting();
    const app = await testApp({ moreTools: [counts.tool] });
    const client = await connectInMemory(app, agent, { era });
    const first = await keyed(client, 'k');
    expect((await keyed(client, 'k')).structuredContent).toEqual(first.structuredContent);
    expect(counts.runs).toHaveLength(1);
    const other = await keyed(client, 'k', { x: 1 });
    expect(other.isError).toBe(true);
    expect(textOf(other)).toContain('[conflict]');
    await keyed(client, 'other');
    expect(counts.runs).toHaveLength(2);
  });

  it.each([[''], ['k'.repeat(201)], [7], [null], [{}]])('%j is none, and nothing is called', async (key) => {
    const counts = counting();
    const app = await testApp({ moreTools: [counts.tool] });
    const client = await connectInMemory(app, agent, { era: '2025-11-25' });
    const refused = await keyed(client, key);
    expect(refused.isError).toBe(true);
    expect(textOf(refused)).toContain('[bad_input]');
    expect(counts.runs).toHaveLength(0);
  });
});

describe('the JSON API', () => {
  it('answers 202 and an address, where the result is read or the run is ended', async () => {
    const { app, waits } = await withWaiting();
    const url = await serveHttp(app);
    const authorization = `Bearer ${await tokenFor(app, 'test', 'agent')}`;
    const send = (path: string, method: string, more: Record<string, string> = {}) =>
      fetch(`${url}${path}`, {
        method,
        headers: { authorization, 'content-type': 'application/json', ...more },
        ...(method === 'POST' && { body: '{}' }),
      });
    const begin = async () => {
      const begun = await send('/v1/tools/waits', 'POST', { prefer: 'respond-async' });
      expect(begun.status).toBe(202);
      return String(begun.headers.get('location'));
    };
    const [read, ended] = [await begin(), await begin()];
    expect(await (await send(read, 'GET')).json()).toMatchObject({ status: 'running' });
    waits.finish();
    const isDone = async () => ((await (await send(read, 'GET')).json()) as { status: string }).status === 'done';
    expect(await until(isDone, 5_000)).toBe(true);
    expect(await (await send(ended, 'DELETE')).json()).toMatchObject({ status: 'cancelled' });
    expect(await until(() => waits.runs[1]?.signal.aborted === true, 5_000)).toBe(true);
  });
});

describe('a run whose process is killed', () => {
  it('goes on in another process as the same run', { timeout: 60_000 }, async () => {
    const home = makeHome();
    const server = await startServer({ home, env: { TOOLWEAVER_APPROVAL: 'auto' } });
    for (const fields of [works, patient]) await server.callTool('save_skill', fields);
    const _meta = { 'toolweaver/idempotency-key': 'k' };
    server.send({ id: 'long', method: 'tools/call', params: { name: 'patient', arguments: { x: 60 }, _meta } });
    const quick = { leaseMs: 1_500, renewMs: 100, lookMs: 20 };
    const app = await testApp({
      file: join(home, 'toolweaver.db'),
      runTimes: quick,
      workerTimes: { outboxMs: 50, leasesMs: 50 },
    });
    const seen = async () =>
      ((await app.use('list_runs', {}, { principal: person })) as { runs: { status: string }[] }).runs;
    expect(await until(async () => (await seen())[0]?.status === 'running', 10_000)).toBe(true);
    server.child.kill('SIGKILL');
    await server.ended;
    expect(await seen()).toMatchObject([{ status: 'running', tool: 'patient' }]);
    app.worker.start();
    expect(await until(async () => (await seen())[0]?.status === 'done', 30_000)).toBe(true);
    const meta = { idempotencyKey: 'k', principal: localAgent() };
    expect(await app.outcome('patient', { x: 60 }, meta)).toEqual({ status: 'done', value: { y: 1 } });
  });
});
