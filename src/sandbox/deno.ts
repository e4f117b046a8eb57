import { spawn } from 'node:child_process';
import { distFile } from '../package.ts';
import type { DenoPlace } from './find-deno.ts';
import { type Ending, toGuestProcess } from './guest-process.ts';
import { openProcesses, type Start } from './process-sandbox.ts';
import { usedBy } from './process-use.ts';
import type { Sandbox } from './sandbox.ts';

const mb = 2 ** 20;
// What Deno maps of its own before it runs anything: below 600 MB it does not start.
const ownDataMb = 620;
// With which V8 ends itself when there is no memory left.
const outOfMemorySignals: readonly (NodeJS.Signals | null)[] = ['SIGTRAP', 'SIGABRT', 'SIGILL', 'SIGSEGV'];

/** The `deno` engine: V8 in processes without any permission. */
export function openDeno(place: DenoPlace): Sandbox {
  return openProcesses('deno', startIn(place));
}

const startIn =
  ({ file, limiter }: DenoPlace): Start =>
  (memoryMb, hear) => {
    const args = [
      ...['run', '--quiet', '--no-prompt', '--no-config', '--no-lock', '--no-remote', '--no-npm', '--cached-only'],
      ...['--deny-import', '--node-modules-dir=none', `--v8-flags=--max-old-space-size=${memoryMb}`],
      distFile('sandbox/deno.js'),
    ];
    const words = limiter ? [limiter, `--data=${(ownDataMb + 2 * memoryMb) * mb}`, file, ...args] : [file, ...args];
    const [command = file, ...rest] = words;
    const child = spawn(command, rest, {
      cwd: distFile('sandbox'),
      // A folder that cannot be made: nothing is cached, nothing is read.
      env: { DENO_DIR: '/dev/null/none', DENO_NO_UPDATE_CHECK: '1', NO_COLOR: '1' },
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    // prlimit becomes the program that it starts, so the process is Deno itself.
    return toGuestProcess(child, { hear, used: usedBy, endingOf });
  };

const endingOf = (_: number | null, signal: NodeJS.Signals | null): Ending =>
  outOfMemorySignals.includes(signal) ? 'memory' : 'other';
