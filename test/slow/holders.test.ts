import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { localTenant } from '../../src/access/principals.ts';
import { packageRoot } from '../../src/package.ts';
import { listRuns } from '../../src/runs/table.ts';
import { openDatabase } from '../../src/store/database.ts';
import { draft } from '../helpers/app.ts';
import { send } from '../helpers/http.ts';
import { startHttp } from '../helpers/http-process.ts';
import { needsPostgres, type PostgresServer, startPostgres } from '../helpers/postgres.ts';
import { atEnd, makeHome, until } from '../helpers/process.ts';
import { buildHolder, countEffects, type Holder, startHolder } from './holders.ts';

const seed = Number(process.env.TOOLWEAVER_TEST_SEED ?? 20_261_124);
const momentOf = (round: number): number => (Math.imul(seed + round, 2_654_435_761) >>> 8) % 900;
const dayMs = 86_400_000;
let postgres: PostgresServer | undefined;

beforeAll(async () => {
  await buildHolder();
  if (needsPostgres === '') postgres = await startPostgres();
});
afterAll(() => postgres?.close());

interface Begun {
  key: string;
  tool: string;
  input: { ms: number };
}

/** Begins runs in the background. */
async function beginRuns(holder: Holder, round: number): Promise<Begun[]> {
  const calls = Array.from({ length: 8 }, (_, n) => ({
    key: `${round}-${n}`,
    tool: n % 2 ? 'acts_again' : 'acts_once',
    input: { ms: 100 + n * 120 },
  }));
  const begin = async (begun: Begun) => {
    const more = { idempotencyKey: begun.key, backgroundAfterMs: 0 };
    const { status } = await holder.call(begun.tool, begun.input, more);
    // A short one may end before it could be handed over.
    expect(['running', 'done']).toContain(status);
    return begun;
  };
  return Promise.all(calls.map(begin));
}

async function killHolders(address: string, rounds: number): Promise<Record<string, number>> {
  const { url, counts } = await countEffects();
  const home = makeHome();
  const figures = { runs: 0, done: 0, unavailable: 0, again: 0 };
  let [first, second] = [await startHolder(home, address, url), await startHolder(home, address, url)];
  for (let round = 0; round < rounds; round++) {
    const begun = await beginRuns(first, round);
    await sleep(momentOf(round));
    await first.kill();
    for (const { key, tool, input } of begun) {
      // Whoever asks again with the key is given the outcome of the one run.
      const outcome = await second.call(tool, input, { idempotencyKey: key });
      const effects = counts.get(`${tool} ${key}`) ?? 0;
      const code = outcome.status === 'failed' ? outcome.error.code : outcome.status;
      figures.runs++;
      if (code === 'done') figures.done++;
      if (code === 'unavailable') figures.unavailable++;
      if (effects > 1) figures.again++;
      const allowed =
        tool === 'acts_again'
          ? [
              ['done', 1],
              ['done', 2],
            ]
          : [
              ['done', 1],
              ['unavailable', 0],
              ['unavailable', 1],
            ];
      expect(allowed).toContainEqual([code, effects]);
    }
    [first, second] = [second, await startHolder(home, address, url)];
  }
  const database = await openDatabase(address);
  const runs = await listRuns(database.read, localTenant, { limit: 1_000 }, Date.now());
  await database.close();
  expect(runs.filter(({ state }) => state === 'running')).toEqual([]);
  expect(runs).toHaveLength(figures.runs);
  return figures;
}

describe('a process that is killed while it holds runs', () => {
  const title = 'leaves them to another: done, at most twice where that is as once, never twice where not, over';
  const isCounted = (name: string, figures: Record<string, number>): void => {
    console.log(`${name}, holders killed again and again: ${JSON.stringify(figures)}`);
    for (const code of ['done', 'unavailable', 'again'])
      expect([code, figures[code]]).toEqual([code, expect.toSatisfy(isSome)]);
  };
  const isSome = (count: number): boolean => count > 2;

  it(`${title} SQLite`, { timeout: 300_000 }, async () => {
    isCounted('SQLite', await killHolders(join(makeHome(), 'toolweaver.db'), 12));
  });

  it.skipIf(needsPostgres !== '')(`${title} PostgreSQL${needsPostgres}`, { timeout: 300_000 }, async () => {
    isCounted('PostgreSQL', await killHolders((await postgres?.createDatabase()) ?? '', 8));
  });
});

/** The time of day of processes, which a test sets. */
function fakeClock(): { env: Record<string, string>; jump(ms: number): Promise<void> } {
  const file = join(makeHome(), 'clock');
  writeFileSync(file, '0');
  return {
    env: { NODE_OPTIONS: `--import=${join(packageRoot, 'test/helpers/clock.mjs')}`, TOOLWEAVER_TEST_CLOCK: file },
    async jump(ms) {
      writeFileSync(file, String(ms));
      await sleep(2_500);
    },
  };
}

describe('when the clock jumps by a day forward and back', () => {
  it('runs stay with their process, questions are answered, and a dead process is still noticed', async () => {
    const { env, jump } = fakeClock();
    const { url, counts } = await countEffects();
    const home = makeHome();
    const file = join(home, 'toolweaver.db');
    const [holder, other] = [await startHolder(home, file, url, env), await startHolder(home, file, url, env)];
    const asked = await holder.call('asks', { expiresInMs: 3 * dayMs });
    const begin = (key: string, ms: number) =>
      holder.call('acts_again', { ms }, { idempotencyKey: key, backgroundAfterMs: 0 });
    const outcomeOf = (key: string, ms: number) => other.call('acts_again', { ms }, { idempotencyKey: key });
    await begin('lives', 9_000);
    for (const offset of [dayMs, -dayMs, 0]) await jump(offset);
    const lived = await outcomeOf('lives', 9_000);
    expect([lived.status, counts.get('acts_again lives')]).toEqual(['done', 1]);

    for (const [key, offset] of [
      ['forward', dayMs],
      ['back', -dayMs],
    ] as const) {
      await jump(offset);
      const answer = { run_id: asked.runId, question_id: asked.question.id, answer: { yes: true } };
      if (key === 'back') expect(await other.call('answer_run', answer)).toMatchObject({ status: 'done' });
    }
    await begin('dies', 2_000);
    await holder.kill();
    expect(await outcomeOf('dies', 2_000)).toMatchObject({ status: 'done' });
    expect(other.said()).not.toContain('lives');
  });

  it('a server over HTTP keeps its sessions and tokens, and goes on answering', async () => {
    const { env, jump } = fakeClock();
    const { url, token } = await startHttp(makeHome(), { ...env, TOOLWEAVER_APPROVAL: 'auto' });
    const client = new Client({ name: 'test', version: '1.0.0' }, { supportedProtocolVersions: ['2025-11-25'] });
    const requestInit = { headers: { authorization: `Bearer ${token}` } };
    await client.connect(new StreamableHTTPClientTransport(new URL(`${url}/mcp`), { requestInit }));
    atEnd(() => client.close());
    await client.callTool({ name: 'save_skill', arguments: draft() });
    const works = draft({
      name: 'works',
      examples: [],
      code: 'export default async (i, ctx) => { for (let n = 0; n < i.x; n++) await ctx.tools.double({ x: n }); return { y: i.x }; }',
    });
    await client.callTool({ name: 'save_skill', arguments: works });
    for (const offset of [dayMs, -dayMs, 0]) {
      const underWay = client.callTool({ name: 'works', arguments: { x: 900 } });
      await jump(offset);
      expect((await underWay).structuredContent).toEqual({ y: 900 });
      expect((await client.callTool({ name: 'double', arguments: { x: 2 } })).structuredContent).toEqual({ y: 4 });
      const body = { x: 21 };
      expect((await send(url, '/v1/tools/double', token, { body })).json).toMatchObject({ y: 42 });
      expect((await send(url, '/readyz')).status).toBe(200);
    }
    const { json } = await send(url, '/v1/tools/list_runs', token, { body: {} });
    expect(json).toEqual({ runs: [] });
    expect(await until(async () => (await send(url, '/healthz')).status === 200)).toBe(true);
  });
});
