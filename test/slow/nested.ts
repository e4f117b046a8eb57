import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { packageRoot } from '../../src/package.ts';

const vitest = join(createRequire(import.meta.url).resolve('vitest/package.json'), '..', 'vitest.mjs');

/** Runs tests of another configuration, by another Node where one is given; `said` is all that they printed. */
export function runTests(config: string, node = process.execPath): Promise<{ hasFailed: boolean; said: string }> {
  const options = { cwd: packageRoot, env: environment(), maxBuffer: 100_000_000 };
  return new Promise((resolve) => {
    execFile(node, [vitest, 'run', '--config', config], options, (error, stdout, stderr) =>
      resolve({ hasFailed: error !== null, said: `${stdout}\n${stderr}` }),
    );
  });
}

export const summaryOf = (said: string): string => /Tests .*/.exec(said)?.[0] ?? said.slice(-2_000);

// Without what this run has told its own workers.
function environment(): NodeJS.ProcessEnv {
  const own = /^(VITEST|TEST$|NODE_ENV$|TINYPOOL)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !own.test(name)));
}
