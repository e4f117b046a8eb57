import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { needsPostgres, type PostgresServer, startPostgres } from '../helpers/postgres.ts';
import { makeHome } from '../helpers/process.ts';
import { buildPeople, changesIn, type Fact, generationOf, problemsOf, startPerson } from './crowd.ts';

const seconds = Number(process.env.TOOLWEAVER_TEST_SECONDS ?? 20);
let server: PostgresServer | undefined;

beforeAll(async () => {
  await buildPeople();
  if (needsPostgres === '') server = await startPostgres();
});
afterAll(() => server?.close());

async function crowd(home: string, address: string): Promise<string> {
  const people = [1, 2, 3, 4].map((seed) => startPerson(home, address, seed, seconds * 1_000, 2));
  await Promise.all(people.map(({ ended }) => ended));
  for (const { facts, said } of people) expect(facts.at(-1), said()).toMatchObject({ over: true });
  const facts = people.flatMap((person) => person.facts);
  // No lock, no conflict of the database and nothing unforeseen reaches who asked.
  expect(facts.filter(({ fault }) => fault !== undefined)).toEqual([]);
  expect(await problemsOf(address, facts)).toEqual([]);
  // What was answered is all that happened: no change got lost under another, none was done twice.
  expect(await generationOf(address)).toBe(changesIn(facts));
  const count = (kind: string) => facts.filter((fact) => fact.kind === kind && fact.refused === undefined).length;
  const ends = facts.filter(({ over }): boolean => over === true) as Required<Fact>[];
  const [p99, worst] = [Math.max(...ends.map((end) => end.p99)), Math.max(...ends.map((end) => end.worst))];
  for (const kind of ['save', 'decide', 'rollBack', 'call']) expect(count(kind)).toBeGreaterThan(5);
  expect(p99).toBeLessThan(500);
  const refused = facts.filter((fact) => fact.refused !== undefined).length;
  return (
    `${count('save')} saves, ${count('decide')} decisions, ${count('rollBack')} rollbacks, ${count('call')} calls, ` +
    `${refused} refused; event-loop delay p99 ${p99.toFixed(1)} ms, worst ${worst.toFixed(0)} ms`
  );
}

describe(`four processes that save, decide, roll back and call the same ten skills for ${seconds} s`, () => {
  it('lose no change and see no lock over SQLite', { timeout: 300_000 }, async () => {
    const home = makeHome();
    console.log(`SQLite: ${await crowd(home, join(home, 'toolweaver.db'))}`);
  });

  it.skipIf(needsPostgres !== '')(
    `lose no change and see no conflict over PostgreSQL${needsPostgres}`,
    { timeout: 300_000 },
    async () => {
      console.log(`PostgreSQL: ${await crowd(makeHome(), (await server?.createDatabase()) ?? '')}`);
    },
  );
});
