import { type ChildProcess, spawn } from 'node:child_process';
import type { Writable } from 'node:stream';
import { distFile } from '../package.ts';
import { type Ending, toGuestProcess } from './guest-process.ts';
import { openProcesses, type Start } from './process-sandbox.ts';
import { usedBelow } from './process-use.ts';
import type { Sandbox } from './sandbox.ts';
import { syscallFilter } from './syscall-filter.ts';

const mb = 2 ** 20;
// What Python maps of its own, asyncio and what that needs included.
const ownMb = 40;
const runner = '/runner.py';
const filterPipe = 3;
// What the runner ends with when there is no memory left even to say so, and how bubblewrap tells of SIGABRT, SIGKILL, SIGSEGV.
const outOfMemoryCodes: readonly (number | null)[] = [77, 134, 137, 139];

/** How Python is started here. */
export interface PythonPlace {
  /** The interpreter itself, no link and no wrapper. */
  file: string;
  version: string;
  bubblewrap: string;
  /** What bubblewrap is told: the namespaces, and what of this machine can be read. */
  walls: readonly string[];
}

/** The `python` engine: python3 in bubblewrap, without network, processes, environment and anything to write to. */
export function openPython(place: PythonPlace): Sandbox {
  return openProcesses('python', startIn(place));
}

const startIn =
  ({ file, bubblewrap, walls }: PythonPlace): Start =>
  (memoryMb, hear) => {
    const args = [
      ...walls,
      ...['--seccomp', String(filterPipe), '--ro-bind', distFile('sandbox/python-runner.py'), runner],
      ...['--remount-ro', '/', '--chdir', '/', '--setenv', 'PYTHONHASHSEED', '0'],
      ...['--', file, '-s', '-S', '-B', '-X', 'utf8', runner, String((ownMb + memoryMb) * mb)],
    ];
    const child = spawn(bubblewrap, args, { env: {}, stdio: ['pipe', 'pipe', 'ignore', 'pipe'], detached: true });
    handFilter(child);
    return toGuestProcess(child, { hear, used: usedBelow, endingOf, kill: killGroup });
  };

// Until it has told its own child to die with it, only the group, of which it is the first, reaches both.
function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It is gone.
  }
}

function handFilter(child: ChildProcess): void {
  const pipe = child.stdio[filterPipe] as Writable | null | undefined;
  // Where it ended before it could read, its exit tells what that means.
  pipe?.on('error', () => {});
  pipe?.end(syscallFilter());
}

const endingOf = (code: number | null): Ending => (outOfMemoryCodes.includes(code) ? 'memory' : 'other');
