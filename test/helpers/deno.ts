import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../src/package.ts';

/** A Deno; `.ci/peers` installs one. */
export const deno = join(packageRoot, `.cache/peers/node_modules/@deno/linux-${process.arch}-glibc/deno`);

/** Titles end with it: why a test over that engine is skipped. */
export const needsDeno = existsSync(deno) ? '' : ' (.cache/peers has no Deno for this machine)';
