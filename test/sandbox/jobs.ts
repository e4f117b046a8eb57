import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { onTestFinished, test } from 'vitest';
import { sha256 } from '../../src/json.ts';
import { openDeno } from '../../src/sandbox/deno.ts';
import { findDeno } from '../../src/sandbox/find-deno.ts';
import { openQuickJs } from '../../src/sandbox/quickjs.ts';
import { defaultLimits, type Job, type JobResult, type Limits, type Sandbox } from '../../src/sandbox/sandbox.ts';

/** For programs that are to end by themselves: also on a busy machine they have the time. */
const roomyLimits: Limits = { ...defaultLimits, cpuMs: 5_000, wallMs: 15_000 };
/** For programs that are to run into their limit. */
export const brief = { cpuMs: 60 };

/** A real program of test/fixtures/skills. */
export const fixture = (name: string): string =>
  readFileSync(new URL(`../fixtures/skills/${name}.js`, import.meta.url), 'utf8');

export const programOf = (text: string): Job['program'] => ({ hash: sha256(text), text });

export interface JobFields extends Partial<Omit<Job, 'limits' | 'program'>> {
  text?: string;
  limits?: Partial<Limits>;
}

/** A job of a fixture. Its tools: `echo` answers its input, `fails` throws, `wait` answers after a moment. */
export const jobOf = (name: string, { text = fixture(name), limits, ...fields }: JobFields = {}): Job => ({
  id: name,
  owner: 'test',
  program: programOf(text),
  input: {},
  now: 1_700_000_000_123,
  seed: 7,
  callTool: usualTools,
  signal: new AbortController().signal,
  ...fields,
  limits: { ...roomyLimits, ...limits },
});

async function usualTools(name: string, input: unknown, signal: AbortSignal): Promise<unknown> {
  if (name === 'wait') await sleep(5, undefined, { signal });
  if (name === 'fails') throw new Error('/secret/path of the host');
  return input;
}

/** The engine that these tests run over; the same ones for each. */
export const engine = process.env.TOOLWEAVER_TEST_ENGINE ?? 'quickjs';
const deno = engine === 'deno' ? await findDeno(process.env.TOOLWEAVER_DENO) : undefined;

/** For what only an engine with fresh state and a realm of its own can promise. */
export const testOfQuickJs = test.skipIf(engine !== 'quickjs');

export const openEngine = (threads = 2): Sandbox => (deno ? openDeno(deno) : openQuickJs({ threads }));

/** A sandbox that is closed when the test ends. */
export function openSandbox(threads = 2): Sandbox {
  const sandbox = openEngine(threads);
  onTestFinished(() => sandbox.close());
  return sandbox;
}

export type Run = (name: string, fields?: JobFields) => Promise<JobResult>;

export const runnerOf =
  (sandbox: () => Sandbox): Run =>
  (name, fields) =>
    sandbox().run(jobOf(name, fields));

/** The value, or the error as text: one thing to compare. */
export function endOf(result: JobResult): unknown {
  if (result.ok) return result.value;
  const { code, details } = result.error;
  return details?.limit === undefined ? code : `${code} ${details.limit}`;
}

export const messageOf = (result: JobResult): string => (result.ok ? 'ok' : result.error.message);

/** A promise and its resolver: something that a test lets happen when it wants. */
export function gate(): { opened: Promise<void>; open: () => void } {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/** Waits until `isTrue`, at most so long; answers whether it came true. */
export async function until(isTrue: () => boolean, withinMs = 5_000): Promise<boolean> {
  const deadline = performance.now() + withinMs;
  while (!isTrue()) {
    if (performance.now() > deadline) return false;
    await sleep(10);
  }
  return true;
}

export const hasProc = existsSync('/proc/self/stat');

/** The sandbox's processes below a process. */
export const sandboxPids = (parent = process.pid): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => parentOf(pid) === parent && read(pid, 'cmdline').includes('child.js'));

export const isAlive = (pid: number): boolean => parentOf(pid) !== undefined;

/** The sandbox process that was started since; a pid of 0 would mean the whole group to whoever kills it. */
export function newSandboxPid(before: readonly number[]): number {
  const pid = sandboxPids().find((one) => !before.includes(one));
  if (pid === undefined) throw new Error('no sandbox process was started');
  return pid;
}

/** Resident memory in MB. */
export const residentMb = (pid: number): number =>
  Math.round(Number(/VmRSS:\s+(\d+)/.exec(read(pid, 'status'))?.[1] ?? 0) / 1024);

/** Processor time that a process has used, in hundredths of a second. */
export function cpuTicks(pid: number): number {
  const fields = read(pid, 'stat').split(') ')[1]?.split(' ') ?? [];
  return Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
}

// A process that ended but was not waited for yet is gone, too.
function parentOf(pid: number): number | undefined {
  const [, state, parent] = /\) (\S) (\d+)/.exec(read(pid, 'stat')) ?? [];
  return state === undefined || state === 'Z' ? undefined : Number(parent);
}

function read(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    // The process is gone.
    return '';
  }
}
