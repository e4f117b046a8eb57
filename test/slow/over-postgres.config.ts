import { defineConfig } from 'vitest/config';
import { packageRoot } from '../../src/package.ts';
import SkipList from '../helpers/skip-list.ts';

/** The tests of the front door once more, over PostgreSQL, with the dist/ that is there. */
export default defineConfig({
  root: packageRoot,
  test: {
    include: ['test/{library,tools,approval,runs}/**/*.test.ts', 'test/catalog/call.test.ts'],
    globalSetup: ['test/slow/over-postgres.ts'],
    reporters: ['default', new SkipList()],
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
