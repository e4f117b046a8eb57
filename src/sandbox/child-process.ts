import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { type FromChild, readLines, type ToChild } from './protocol.ts';

/** A running confined child. */
export interface ChildHandle {
  /** Hashes of the programs that it has been sent. */
  programs: Set<string>;
  send(message: ToChild): void;
  /** Keeps the event loop alive while jobs are under way; `release` lets a command end by itself. */
  hold(): void;
  release(): void;
  /** Ends it at once and resolves when it is gone. */
  end(): Promise<void>;
}

interface Listener {
  hear(message: FromChild): void;
  /** The child is gone, whatever the reason; called once. */
  ended(): void;
}

/** Starts the child of a folder that holds child.js: no environment, no files but that folder, no other processes. */
export function startChild(folder: string, threads: number, { hear, ended }: Listener): ChildHandle {
  const child = spawn(
    process.execPath,
    [
      permissionFlag(),
      '--allow-worker',
      `--allow-fs-read=${folder}`,
      '--no-warnings',
      '--max-old-space-size=256',
      join(folder, 'child.js'),
      String(threads),
    ],
    { cwd: folder, env: {}, stdio: ['pipe', 'pipe', 'ignore'] },
  );
  let isGone = false;
  const gone = new Promise<void>((resolve) => {
    const once = () => {
      if (isGone) return;
      isGone = true;
      resolve();
      ended();
    };
    child.once('exit', once).once('error', once);
  });
  const kill = () => void child.kill('SIGKILL');
  child.stdout?.on(
    'data',
    readLines((line) => takeLine(line, hear, kill), kill),
  );
  child.stdin?.on('error', () => {
    // The child is gone; its exit tells what that means.
  });
  return {
    programs: new Set(),
    send: (message) => void (isGone || child.stdin?.write(`${JSON.stringify(message)}\n`)),
    hold: () => setRef(child, true),
    release: () => setRef(child, false),
    async end() {
      // Held until it is gone: nothing else may keep the event loop alive by then.
      setRef(child, true);
      kill();
      await gone;
    },
  };
}

// A frame that is none shows that the child is not itself any more.
function takeLine(line: string, hear: Listener['hear'], kill: () => void): void {
  let message: FromChild;
  try {
    message = JSON.parse(line);
  } catch {
    return kill();
  }
  hear(message);
}

function setRef(child: ChildProcess, isHeld: boolean): void {
  for (const part of [child, child.stdin, child.stdout] as { ref?(): void; unref?(): void }[]) {
    if (isHeld) part.ref?.();
    else part.unref?.();
  }
}

// The flag lost its prefix in Node 22.13 and 23.5.
function permissionFlag(): string {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const isStable = major > 23 || (major === 23 && minor >= 5) || (major === 22 && minor >= 13);
  return isStable ? '--permission' : '--experimental-permission';
}
