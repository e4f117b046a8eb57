import type { ChildProcess } from 'node:child_process';
import { byteLength } from '../json.ts';
import { setRef, takeLine } from './child-io.ts';
import { type FromChild, maxLineBytes, readLines, type ToChild, toLine } from './protocol.ts';

const maxUnreadBytes = 4 * maxLineBytes;

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
  /** Throws at what is no message. */
  hear(message: FromChild): void;
  used(pid: number): Used | undefined;
  endingOf(code: number | null, signal: NodeJS.Signals | null): Ending;
  /** Ends it and all that it has started, while it runs. */
  kill?(pid: number): void;
}

/** Speaks with a child over its stdin and stdout. */
export function toGuestProcess(child: ChildProcess, { hear, used, endingOf, kill: killAll }: Ways): GuestProcess {
  let isBroken = false;
  const kill = (): void => {
    const { pid, exitCode, signalCode } = child;
    const isRunning = pid !== undefined && exitCode === null && signalCode === null;
    if (isRunning && killAll) killAll(pid);
    else child.kill('SIGKILL');
  };
  const giveUp = (): void => {
    isBroken = true;
    kill();
  };
  child.stdout?.on(
    'data',
    // One that has said what is no message is not itself any more; what follows is not heard.
    readLines((line) => void (isBroken || takeLine(line, hear, giveUp)), giveUp),
  );
  child.stdout?.on('error', kill);
  child.stdin?.on('error', () => {});
  const ended = new Promise<Ending>((resolve) => {
    // What it said before it ended is heard before.
    child.once('close', (code, signal) => resolve(endingOf(code, signal))).once('error', () => resolve('other'));
  });
  return {
    send(message) {
      const line = toLine(message);
      if (byteLength(line) > maxLineBytes) return false;
      child.stdin?.write(line);
      // One that asks and does not read would fill this process's memory with answers.
      if ((child.stdin?.writableLength ?? 0) > maxUnreadBytes) giveUp();
      return true;
    },
    used: () => (child.pid === undefined ? undefined : used(child.pid)),
    hold: (isHeld) => setRef([child, child.stdin, child.stdout], isHeld),
    kill,
    ended,
  };
}
