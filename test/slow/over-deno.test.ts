import { expect, it } from 'vitest';
import { needsDeno } from '../helpers/deno.ts';
import { runTests, summaryOf } from './nested.ts';

it.skipIf(needsDeno !== '')(
  `the sandbox behaves over Deno as it does over QuickJS, but for state that a call may find${needsDeno}`,
  { timeout: 300_000 },
  async () => {
    const { hasFailed, said } = await runTests('test/slow/over-deno.config.ts');
    console.log(`over Deno: ${summaryOf(said)}`);
    expect(hasFailed, said.slice(-10_000)).toBe(false);
  },
);
