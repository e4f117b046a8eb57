import type { ChildProcess } from 'node:child_process';
import { byteLength } from '../json.ts';
import { type FromChild, fromLine, maxLineBytes, readLines, type ToChild, toLine } from './protocol.ts';

/** What a process has used: processor time in milliseconds, memory in MB. */
export interface Used {
  cpuMs: number;
  memoryMb: number;
}

/** How a process ended: because there was no memory left, or otherwise. */
export type Ending = 'memory' | 'other';

/** One confined process that runs programs. */
export interface GuestProcess {
  /** False when the message is too large for one line; it is not sent then. */
  send(message: ToChild): boolean;
  /** Undefined where the system does not tell. */
  used(): Used | undefined;
  /** Lets a command end by itself while nothing runs here. */
  hold(isHeld: boolean): void;
  /** Ends it at once; `ended` follows. */
  kill(): void;
  readonly ended: Promise<Ending>;
}

interface Ways {
  hear(message: FromChild): void;
  used(pid: number): Used | undefined;
  endingOf(code: number | null, signal: NodeJS.Signals | null): Ending;
}

/** Speaks with a child over its stdin and stdout. */
export function toGuestProcess(child: ChildProcess, { hear, used, endingOf }: Ways): GuestProcess {
  let isGone = false;
  const kill = (): void => void child.kill('SIGKILL');
  child.stdout?.on(
    'data',
    readLines((line) => void (isGone || take(line, hear, kill)), kill),
  );
  child.stdout?.on('error', kill);
  child.stdin?.on('error', () => {});
  const ended = new Promise<Ending>((resolve) => {
    const end = (ending: Ending): void => {
      isGone = true;
      resolve(ending);
    };
    child.once('exit', (code, signal) => end(endingOf(code, signal))).once('error', () => end('other'));
  });
  return {
    send(message) {
      const line = toLine(message);
      if (byteLength(line) > maxLineBytes) return false;
      child.stdin?.write(line);
      return true;
    },
    used: () => (child.pid === undefined ? undefined : used(child.pid)),
    hold: (isHeld) => setRef(child, isHeld),
    kill,
    ended,
  };
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
