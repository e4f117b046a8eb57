import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { byteLength } from '../json.ts';
import { distFile } from '../package.ts';
import type { DenoPlace } from './find-deno.ts';
import { type FromChild, fromLine, maxLineBytes, readLines, type ToChild, toLine } from './protocol.ts';

const ticksPerSecond = 100;
const pageBytes = 4_096;
const mb = 2 ** 20;
// What Deno maps of its own before it runs anything: below 600 MB it does not start.
const ownDataMb = 620;

/** What a process has used: processor time in milliseconds, memory in MB. */
export interface Used {
  cpuMs: number;
  memoryMb: number;
}

/** One Deno process without any permission. */
export interface DenoProcess {
  /** False when the message is too large for one line; it is not sent then. */
  send(message: ToChild): boolean;
  /** Undefined where the system does not tell. */
  used(): Used | undefined;
  /** Lets a command end by itself while nothing runs here. */
  hold(isHeld: boolean): void;
  /** Ends it at once; `ended` follows. */
  kill(): void;
  /** The signal by which it ended. */
  readonly ended: Promise<NodeJS.Signals | null>;
}

/** Starts one. `hear` hears what it says; what is no message ends it. */
export function startDeno(place: DenoPlace, memoryMb: number, hear: (message: FromChild) => void): DenoProcess {
  const child = spawnConfined(place, memoryMb);
  let isGone = false;
  const kill = (): void => void child.kill('SIGKILL');
  child.stdout?.on(
    'data',
    readLines((line) => void (isGone || take(line, hear, kill)), kill),
  );
  child.stdout?.on('error', kill);
  child.stdin?.on('error', () => {});
  const ended = new Promise<NodeJS.Signals | null>((resolve) => {
    const end = (signal: NodeJS.Signals | null): void => {
      isGone = true;
      resolve(signal);
    };
    child.once('exit', (_, signal) => end(signal)).once('error', () => end(null));
  });
  return {
    send(message) {
      const line = toLine(message);
      if (byteLength(line) > maxLineBytes) return false;
      child.stdin?.write(line);
      return true;
    },
    used: () => usedBy(child.pid),
    hold: (isHeld) => setRef(child, isHeld),
    kill,
    ended,
  };
}

function spawnConfined({ file, limiter }: DenoPlace, memoryMb: number): ChildProcess {
  const args = [
    ...['run', '--quiet', '--no-prompt', '--no-config', '--no-lock', '--no-remote', '--no-npm', '--cached-only'],
    ...['--deny-import', '--node-modules-dir=none', `--v8-flags=--max-old-space-size=${memoryMb}`],
    distFile('sandbox/deno.js'),
  ];
  const words = limiter ? [limiter, `--data=${(ownDataMb + 2 * memoryMb) * mb}`, file, ...args] : [file, ...args];
  const [command = file, ...rest] = words;
  return spawn(command, rest, {
    cwd: distFile('sandbox'),
    // A folder that cannot be made: nothing is cached, nothing is read.
    env: { DENO_DIR: '/dev/null/none', DENO_NO_UPDATE_CHECK: '1', NO_COLOR: '1' },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
}

function take(line: string, hear: (message: FromChild) => void, kill: () => void): void {
  try {
    hear(fromLine(line));
  } catch {
    kill();
  }
}

function setRef(child: ChildProcess, isHeld: boolean): void {
  for (const part of [child, child.stdin, child.stdout] as { ref?(): void; unref?(): void }[]) {
    if (isHeld) part.ref?.();
    else part.unref?.();
  }
}

// prlimit becomes the program that it starts, so the process is Deno itself.
function usedBy(pid: number | undefined): Used | undefined {
  if (process.platform !== 'linux' || pid === undefined) return undefined;
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    const ticks = Number(fields[11]) + Number(fields[12]);
    return { cpuMs: (ticks * 1_000) / ticksPerSecond, memoryMb: (Number(fields[21]) * pageBytes) / mb };
  } catch {
    return undefined; // It is gone.
  }
}
