import { configDefaults, defineConfig } from 'vitest/config';
import SkipList from './test/helpers/skip-list.ts';

/** Tests that take minutes run apart: vitest.slow.config.ts. */
const slow = ['test/{conformance,peers,slow}/**'];

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: [...configDefaults.exclude, ...slow],
    globalSetup: ['test/helpers/build.ts'],
    reporters: ['default', new SkipList()],
    // On two cores vitest would start a single one.
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 30_000,
  },
});
