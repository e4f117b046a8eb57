import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { packageRoot } from '../../src/package.ts';
import { type Ended, npmFile, run } from '../peers/foreign.ts';

/** The two releases of the suite: the older covers the protocol until 2025-11-25, the newer also 2026-07-28. */
export type Suite = 'conformance-2025' | 'conformance-2026';

export interface Verdict extends Ended {
  passed: number;
  failed: number;
  /** Scenarios that failed a check, scored or not. */
  failing: string[];
}

/** Runs a conformance suite by the protocol's own authors against a server. */
export async function runSuite(suite: Suite, url: string, args: readonly string[] = []): Promise<Verdict> {
  const loader = pathToFileURL(join(packageRoot, 'scripts/node-20-glob.mjs')).href;
  const ended = await run(process.execPath, [
    '--import',
    loader,
    npmFile(`${suite}/dist/index.js`),
    'server',
    '--url',
    url,
    ...args,
  ]);
  const [, passed, failed] = /^Total: (\d+) passed, (\d+) failed$/m.exec(ended.stdout) ?? [];
  const failing = [...ended.stdout.matchAll(/^✗ ([\w-]+): \d+ passed/gm)].map(([, name]) => name ?? '');
  return { ...ended, passed: Number(passed), failed: Number(failed), failing };
}
