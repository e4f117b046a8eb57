import { defineConfig } from 'vitest/config';
import SkipList from './test/helpers/skip-list.ts';

/** What takes minutes: conformance suites and clients by other people, against real servers. */
export default defineConfig({
  test: {
    include: ['test/{conformance,peers,slow}/**/*.test.ts', 'test/**/*.slow.test.ts'],
    globalSetup: ['test/helpers/build.ts', 'test/peers/build.ts'],
    reporters: ['default', new SkipList()],
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
