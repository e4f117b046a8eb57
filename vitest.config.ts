import { configDefaults, defineConfig } from 'vitest/config';
import SkipList from './test/helpers/skip-list.ts';

/** Tests that take minutes run apart: vitest.slow.config.ts. */
const slow = ['test/{conformance,peers,slow}/**', 'test/**/*.slow.test.ts'];

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: [...configDefaults.exclude, ...slow],
    globalSetup: ['test/helpers/build.ts'],
    reporters: ['default', new SkipList()],
    // On two cores vitest would start a single one.
    maxWorkers: 2,
    // One load of the packages for all files of a worker: a third of the time otherwise.
    isolate: false,
    testTimeout: 20_000,
    hookTimeout: 30_000,
  },
});
