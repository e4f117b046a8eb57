import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { WeaverError } from '../errors.ts';
import { packageRoot } from '../package.ts';

// Older ones have known holes (CVE-2026-49401, CVE-2026-49406).
const least = [2, 7, 14] as const;
const probeMs = 5_000;
const run = promisify(execFile);

/** How Deno is started here. */
export interface DenoPlace {
  /** The program itself. */
  file: string;
  version: string;
  /** The program that holds its memory, where the system has it. */
  limiter?: string;
}

/**
 * Finds Deno: the one that the setting names, the npm package `deno` beside this one, or on the PATH; and starts it once.
 * @throws WeaverError `not_supported` with the reason.
 */
export async function findDeno(wanted: string | undefined): Promise<DenoPlace> {
  const file = wanted ?? ofPackage() ?? (await onPath());
  if (file === undefined) throw missing('it is not installed');
  const version = await versionOf(file);
  if (!isNewEnough(version)) throw missing(`${file} is ${version}, not ${least.join('.')} or later`);
  return { file, version, ...memoryLimiter() };
}

const missing = (reason: string, cause?: unknown): WeaverError =>
  new WeaverError('not_supported', `The engine deno cannot be used: ${reason}.`, {
    hint: `npm install deno, or install Deno ${least.join('.')} or later; without it skills run in quickjs.`,
    ...(cause !== undefined && { cause }),
  });

// The program itself, which needs no install script and no wrapper.
function ofPackage(): string | undefined {
  const { platform, arch } = process;
  const target = platform === 'linux' ? `linux-${arch}-glibc` : `${platform}-${arch}`;
  try {
    const require = createRequire(join(packageRoot, 'package.json'));
    const folder = dirname(require.resolve(`@deno/${target}/package.json`));
    return ['deno', 'deno.exe'].map((name) => join(folder, name)).find(existsSync);
  } catch {
    return undefined; // It is optional.
  }
}

const onPath = (): Promise<string | undefined> =>
  run('deno', ['eval', 'console.log(Deno.execPath())'], { timeout: probeMs }).then(
    ({ stdout }) => stdout.trim(),
    () => undefined,
  );

async function versionOf(file: string): Promise<string> {
  try {
    const { stdout } = await run(file, ['--version'], { timeout: probeMs, env: { NO_COLOR: '1' } });
    return /deno (\d+\.\d+\.\d+)/.exec(stdout)?.[1] ?? 'of an unknown version';
  } catch (cause) {
    throw missing(`${file} does not start`, cause);
  }
}

function isNewEnough(version: string): boolean {
  const parts = version.split('.').map(Number);
  for (const [i, wanted] of least.entries()) {
    const part = parts[i] ?? Number.NaN;
    if (part !== wanted) return part > wanted;
  }
  return true;
}

// V8 does not count the bytes of its array buffers; the kernel does.
function memoryLimiter(): Pick<DenoPlace, 'limiter'> {
  const limiter = ['/usr/bin/prlimit', '/bin/prlimit'].find(existsSync);
  return limiter === undefined ? {} : { limiter };
}
