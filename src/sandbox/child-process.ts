import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { byteLength } from '../json.ts';
import { setRef, takeLine } from './child-io.ts';
import { type FromChild, firstPipe, keptPrograms, maxLineBytes, readLines, type ToChild, toLine } from './protocol.ts';
import type { Job } from './sandbox.ts';

/** A running confined child. */
export interface ChildHandle {
  /** Hashes of the programs that it has been sent. */
  programs: Set<string>;
  /** False when the message is too large for one line; it is not sent then. */
  send(message: ToChild): boolean;
  /** Sends a job, with its program where the child may not have it; false as with `send`. */
  run(id: number, job: Job, input: string): boolean;
  /** Lets a command end by itself: no job is under way. `run` keeps the event loop alive again. */
  release(): void;
  /** Ends it at once and resolves when it is gone. */
  end(): Promise<void>;
}

interface Listener {
  hear(message: FromChild): void;
  /** The child is gone, whatever the reason; called once. */
  ended(): void;
}

/** What confines a Node process to one folder, which it may read: no other files, no processes of its own. */
export const confinement = (folder: string): string[] => [
  permissionFlag(),
  '--allow-worker',
  `--allow-fs-read=${folder}`,
  '--no-warnings',
  '--max-old-space-size=256',
];

/** Starts the child of a folder that holds child.js, confined and without an environment. */
export function startChild(folder: string, threads: number, { hear, ended }: Listener): ChildHandle {
  const child = spawn(process.execPath, [...confinement(folder), join(folder, 'child.js'), String(threads)], {
    cwd: folder,
    env: {},
    stdio: ['pipe', 'pipe', 'ignore', ...Array<'pipe'>(threads).fill('pipe')],
  });
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
  const sources = sourcesOf(child);
  const parts = [child, child.stdin, ...sources];
  for (const source of sources) {
    source.on(
      'data',
      // What a dead child had still said is not heard: its jobs may run again by now.
      readLines((line) => void (isGone || takeLine(line, hear, kill)), kill),
    );
    // Whoever cannot be read any more is of no use; who cannot be written to is gone, and its exit tells what that means.
    source.on('error', kill);
  }
  child.stdin?.on('error', () => {});
  const programs = new Set<string>();
  const send = (message: ToChild): boolean => {
    const line = toLine(message);
    if (byteLength(line) > maxLineBytes) return false;
    if (!isGone) child.stdin?.write(line);
    return true;
  };
  return {
    programs,
    send,
    run(id, { program: { hash, text }, limits, now, seed }, input) {
      setRef(parts, true);
      const isKnown = programs.has(hash);
      // The child asks for what it has not; only the list must not grow for ever.
      if (programs.size >= keptPrograms) programs.clear();
      programs.add(hash);
      return send({ t: 'run', id, hash, ...(!isKnown && { text }), input, limits, now, seed });
    },
    release: () => setRef(parts, false),
    async end() {
      // Held until it is gone: nothing else may keep the event loop alive by then.
      setRef(parts, true);
      kill();
      await gone;
    },
  };
}

/** Where its main thread and its other threads speak. */
const sourcesOf = ({ stdout, stdio }: ChildProcess): Readable[] =>
  [stdout, ...stdio.slice(firstPipe)].filter((stream) => stream instanceof Readable);

// The flag lost its prefix in Node 22.13 and 23.5.
function permissionFlag(): string {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const isStable = major > 23 || (major === 23 && minor >= 5) || (major === 22 && minor >= 13);
  return isStable ? '--permission' : '--experimental-permission';
}
