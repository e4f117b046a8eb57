import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../src/package.ts';

const folder = join(packageRoot, '.cache/peers');

/** The product with one more tool, `ask_name`, which asks (asking-server.ts, built by build.ts). */
export const askingServer = join(packageRoot, '.cache/test/asking-server.mjs');

/** A file of a foreign npm package. */
export const npmFile = (path: string): string => join(folder, 'node_modules', path);

/** A program of the Python environment. */
export const pythonProgram = (name: string): string => join(folder, 'python/bin', name);

/** False until .ci/peers has installed the foreign programs. */
export const hasPeers = existsSync(join(folder, 'installed'));

/** For titles of what is skipped without them. */
export const peersMissing = hasPeers ? '' : ' (needs the foreign programs that .ci/peers installs)';

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

interface RunOptions {
  env?: Record<string, string>;
  cwd?: string;
  /** Ends it when it takes longer. */
  withinMs?: number;
}

/** Runs a program to its end. Of our environment it gets only how to find programs. */
export function run(
  program: string,
  args: readonly string[],
  { env = {}, cwd = packageRoot, withinMs = 90_000 }: RunOptions = {},
) {
  const child = spawn(program, args, {
    cwd,
    env: { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: withinMs,
    killSignal: 'SIGKILL',
  });
  return new Promise<Ended>((resolve, reject) => {
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
}
