import { expect, it } from 'vitest';
import { needsPostgres } from '../helpers/postgres.ts';
import { runTests, summaryOf } from './nested.ts';

it.skipIf(needsPostgres !== '')(
  `the front door behaves over PostgreSQL as it does over SQLite${needsPostgres}`,
  { timeout: 600_000 },
  async () => {
    const { hasFailed, said } = await runTests('test/slow/over-postgres.config.ts');
    console.log(`over PostgreSQL: ${summaryOf(said)}`);
    expect(hasFailed, said.slice(-10_000)).toBe(false);
  },
);
