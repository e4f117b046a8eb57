import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { draft } from '../helpers/app.ts';
import { needsPostgres, type PostgresServer, startPostgres } from '../helpers/postgres.ts';
import { makeHome, startServer, until } from '../helpers/process.ts';
import { buildPeople, changesIn, type Fact, generationOf, problemsOf, startPerson } from './crowd.ts';

const seed = Number(process.env.TOOLWEAVER_TEST_SEED ?? 20_261_124);
/** How much each process has under way at once. */
const lanes = 4;
let server: PostgresServer | undefined;

beforeAll(async () => {
  await buildPeople();
  if (needsPostgres === '') server = await startPostgres();
});
afterAll(() => server?.close());

/** Moments at which to kill, the same ones for the same seed. */
const momentOf = (round: number): number => (Math.imul(seed + round, 2_654_435_761) >>> 8) % 300;

/** Saves through a real server until it is killed; gives what was answered. */
async function saveOverMcp(home: string, address: string, round: number) {
  const mcp = await startServer({ home, env: address.startsWith('postgres') ? { DATABASE_URL: address } : {} });
  const facts: Fact[] = [];
  const saving = (async () => {
    for (let n = 0; ; n++) {
      const code = `export default (input) => ({ y: input.x + ${round * 1_000 + n} });`;
      const examples = [{ input: { x: 1 }, output: { y: 1 + round * 1_000 + n } }];
      const { result } = await mcp.callTool('save_skill', draft({ name: `over_mcp_${n % 3}`, code, examples }));
      const { name, version, seal } = result.structuredContent ?? {};
      if (result.isError) facts.push({ fault: 'save', message: JSON.stringify(result.content) });
      else facts.push({ kind: 'save', name, version, seal, verdict: 'approved' });
    }
  })().catch(() => {
    // It was killed: what was not answered by then is in nobody's books.
  });
  return { facts, kill: () => void mcp.child.kill('SIGKILL'), ended: Promise.all([mcp.ended, saving]) };
}

async function killAgainAndAgain(home: string, address: string, rounds: number): Promise<Record<string, number>> {
  const counts = { answered: 0, saves: 0, decisions: 0, rollbacks: 0, unanswered: 0 };
  let changed = await generationOf(address);
  const all: Fact[] = [];
  for (let round = 0; round < rounds; round++) {
    const person = startPerson(home, address, seed + round, 60_000, lanes);
    const isMixed = round % 3 === 0;
    const mcp = isMixed ? await saveOverMcp(home, address, round) : undefined;
    expect(await until(() => person.facts.length > 3, 20_000), person.said()).toBe(true);
    await sleep(momentOf(round));
    person.kill();
    mcp?.kill();
    await Promise.all([person.ended, mcp && sleep(20)]);
    const facts = [...person.facts, ...(mcp?.facts ?? [])];
    expect(facts.filter(({ fault }) => fault !== undefined)).toEqual([]);
    all.push(...facts);
    expect([round, await problemsOf(address, facts)]).toEqual([round, []]);
    // Nothing answered is missing, and no more is there than what each process had under way.
    const generation = await generationOf(address);
    const more = generation - changed - changesIn(facts);
    expect([round, more >= 0 && more <= lanes + (isMixed ? 1 : 0)]).toEqual([round, true]);
    counts.unanswered += more;
    changed = generation;
  }
  expect(await problemsOf(address, all)).toEqual([]);
  const done = all.filter(({ kind, refused }) => kind !== undefined && refused === undefined);
  counts.answered = done.length;
  counts.saves = done.filter(({ kind }) => kind === 'save').length;
  counts.decisions = done.filter(({ kind }) => kind === 'decide').length;
  counts.rollbacks = done.filter(({ kind }) => kind === 'rollBack').length;
  return counts;
}

describe('a process that is killed while it saves, decides or rolls back', () => {
  it('has kept all that it answered, and nothing half, over SQLite', { timeout: 600_000 }, async () => {
    const home = makeHome();
    const counts = await killAgainAndAgain(home, join(home, 'toolweaver.db'), 120);
    console.log(`SQLite, killed 120 times: ${JSON.stringify(counts)}`);
    for (const count of [counts.saves, counts.decisions, counts.rollbacks]) expect(count).toBeGreaterThan(10);
  });

  it.skipIf(needsPostgres !== '')(
    `has kept all that it answered, and nothing half, over PostgreSQL${needsPostgres}`,
    { timeout: 600_000 },
    async () => {
      const address = (await server?.createDatabase()) ?? '';
      const counts = await killAgainAndAgain(makeHome(), address, 80);
      console.log(`PostgreSQL, killed 80 times: ${JSON.stringify(counts)}`);
      for (const count of [counts.saves, counts.decisions, counts.rollbacks]) expect(count).toBeGreaterThan(5);
    },
  );
});
