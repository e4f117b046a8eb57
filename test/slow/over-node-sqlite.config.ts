import { defineConfig } from 'vitest/config';
import { packageRoot } from '../../src/package.ts';

/** The store suite over Node's own SQLite: for a Node 22, where better-sqlite3 is not to be found. */
export default defineConfig({
  root: packageRoot,
  resolve: { alias: { 'better-sqlite3': '/is/not/installed.js' } },
  test: { include: ['test/store/suite.test.ts'], testNamePattern: 'SQLite', testTimeout: 60_000, hookTimeout: 60_000 },
});
