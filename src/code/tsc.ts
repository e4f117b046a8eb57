import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { WeaverError } from '../errors.ts';
import { loadOptional } from '../optional.ts';
import type { Place } from './place.ts';

/** One remark of the compiler; `file` is a name inside of its folder. */
export interface Diagnostic extends Place {
  file: string;
  code: string;
  message: string;
}

/** What a run of the compiler came to; `stopped` when the text asked too much of it. */
export type Compilation = { diagnostics: Diagnostic[] } | { stopped: 'time' | 'memory' };

const limitMs = 10_000;
const maxOutput = 1_000_000;
// Virtual: doubled texts inside of types would otherwise take all that the machine has.
const memoryKb = 1_500_000;
const atOnce = 2;

/**
 * Runs TypeScript's native compiler over these files, in a folder of their own that goes afterwards, with no environment.
 * @throws WeaverError `not_supported` where the package typescript is missing, `cancelled`.
 */
export async function runTsc(files: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Compilation> {
  const exe = await findTsc();
  return oneOf(atOnce, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'toolweaver-types-'));
    try {
      for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
      return await compile(exe, folder, signal);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
}

let running = 0;
const waiting: (() => void)[] = [];

async function oneOf<T>(limit: number, work: () => Promise<T>): Promise<T> {
  if (running >= limit) await new Promise<void>((resolve) => waiting.push(resolve));
  else running++;
  try {
    return await work();
  } finally {
    // The place goes to who waits longest, or is free.
    const next = waiting.shift();
    if (next) next();
    else running--;
  }
}

/** The version of the compiler that there is. Throws like `runTsc`. */
export async function tscVersion(): Promise<string> {
  return (await findPackage()).version;
}

async function findTsc(): Promise<string> {
  return (await findPackage()).exe;
}

let found: Promise<{ exe: string; version: string }> | undefined;

function findPackage(): Promise<{ exe: string; version: string }> {
  found ??= loadOptional('typescript', 'The type check', async () => {
    const here = createRequire(import.meta.url);
    const manifest = here.resolve('typescript/package.json');
    const { version } = JSON.parse(await readFile(manifest, 'utf8')) as { version: string };
    // The program is in a package for each platform, as typescript/lib/getExePath.js has it.
    const platform = `@typescript/typescript-${process.platform}-${process.arch}/package.json`;
    const folder = dirname(createRequire(manifest).resolve(platform));
    return { exe: join(folder, 'lib', process.platform === 'win32' ? 'tsc.exe' : 'tsc'), version };
  }).catch((error: unknown) => {
    // Not kept: it may be installed meanwhile.
    found = undefined;
    throw error;
  });
  return found;
}

function compile(exe: string, folder: string, signal: AbortSignal): Promise<Compilation> {
  const args = ['-p', folder, '--pretty', 'false'];
  const isWindows = process.platform === 'win32';
  const capped = ['-c', `ulimit -v ${memoryKb} 2>/dev/null; exec "$@"`, 'sh', exe, ...args];
  const child = isWindows
    ? spawn(exe, args, { cwd: folder, env: {}, stdio: ['ignore', 'pipe', 'pipe'] })
    : spawn('/bin/sh', capped, { cwd: folder, env: {}, stdio: ['ignore', 'pipe', 'pipe'] });
  return new Promise((resolve, reject) => {
    let output = '';
    let isLate = false;
    const kill = (): void => void child.kill('SIGKILL');
    const timer = setTimeout(() => {
      isLate = true;
      kill();
    }, limitMs);
    signal.addEventListener('abort', kill, { once: true });
    const end = (settle: () => void): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', kill);
      settle();
    };
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (output.length < maxOutput) output += text;
    });
    // What a crash prints names places of this machine; that it crashed says enough.
    child.stderr.resume();
    child.on('error', (error) => end(() => reject(error)));
    child.on('close', (code) =>
      end(() => {
        if (signal.aborted) return reject(new WeaverError('cancelled', 'The type check was cancelled.'));
        if (isLate) return resolve({ stopped: 'time' });
        const diagnostics = readDiagnostics(output);
        const isSound = code === 0 || (code !== null && diagnostics.length > 0);
        resolve(isSound ? { diagnostics } : { stopped: 'memory' });
      }),
    );
    if (signal.aborted) kill();
  });
}

const diagnosticLine = /^([^\s(]+)\((\d+),(\d+)\): error (TS\d+): (.*)$/;

function readDiagnostics(output: string): Diagnostic[] {
  const diagnostics: Diagnostic[] = [];
  for (const text of output.split(/\r?\n/)) {
    const [, file, line, column, code, message] = diagnosticLine.exec(text) ?? [];
    const last = diagnostics.at(-1);
    if (file !== undefined && code !== undefined && message !== undefined)
      diagnostics.push({ file, line: Number(line), column: Number(column), code, message });
    else if (last && /^\s+\S/.test(text)) last.message += ` ${text.trim()}`;
  }
  return diagnostics;
}
