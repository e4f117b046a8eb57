import { expect, it } from 'vitest';
import { needsNode22, node22 } from '../helpers/node22.ts';
import { runTests, summaryOf } from './nested.ts';

it.skipIf(needsNode22 !== '')(
  `the store behaves over Node's own SQLite as it does over better-sqlite3${needsNode22}`,
  { timeout: 200_000 },
  async () => {
    const { hasFailed, said } = await runTests('test/slow/over-node-sqlite.config.ts', node22);
    console.log(`over Node's SQLite: ${summaryOf(said)}`);
    expect(hasFailed, said.slice(-10_000)).toBe(false);
    expect(summaryOf(said)).toMatch(/passed/);
  },
);
