import { execFileSync } from 'node:child_process';
import { packageRoot } from '../../src/package.ts';

/** Builds dist/ once before the tests: the sandbox's programs and the real commands run from there. */
export default function build(): void {
  execFileSync(process.execPath, ['scripts/build.mjs'], { cwd: packageRoot, stdio: 'inherit' });
}
