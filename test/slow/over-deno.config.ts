import { defineConfig } from 'vitest/config';
import { packageRoot } from '../../src/package.ts';
import { deno } from '../helpers/deno.ts';

/** The sandbox's tests over the engine deno. */
export default defineConfig({
  root: packageRoot,
  test: {
    include: ['test/sandbox/{lifecycle,output,host-calls,isolation,errors}.test.ts'],
    env: { TOOLWEAVER_TEST_ENGINE: 'deno', TOOLWEAVER_DENO: deno },
    maxWorkers: 1,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
