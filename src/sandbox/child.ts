import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import {
  type FromChild,
  type FromThread,
  firstPipe,
  fromLine,
  keptPrograms,
  monotonicMs,
  readLines,
  type ToChild,
  toLine,
} from './protocol.ts';

// The main thread of the confined child: it hands jobs from the server (stdin) to the threads, which answer by themselves,
// ends a thread that spins, and ends the process, spinning threads included, when the server is gone.

const watchEveryMs = 50;
const graceMs = 250;
const lastWordsMs = 500;
const longSliceMs = 20;
const keptProgramChars = 32_000_000;

type Run = Extract<ToChild, { t: 'run' }>;

/** A job on a thread. Its input is not kept: the server sends the job again where that is needed. */
interface Job {
  id: number;
  hash: string;
  cpuMs: number;
  thread: Thread;
  /** Host calls without an answer. */
  calls: Set<number>;
  hasCalled: boolean;
}

interface Thread {
  worker: Worker;
  /** By which it speaks to the server; its successor has it after it. */
  pipe: number;
  hasStarted: boolean;
  /** When the slice under way began (0: none), its budget, whose it is, and which job is to leave it. */
  slice: Float64Array;
  jobs: Map<number, Job>;
  hashes: Set<string>;
}

const jobs = new Map<number, Job>();
const programs = new Map<string, string>();
let programChars = 0;
const threadCount = Number(process.argv[2] ?? 2);
const threads: Thread[] = Array.from({ length: threadCount }, (_, i) => startThread(firstPipe + i));

const say = (message: FromChild): void => void process.stdout.write(toLine(message));

process.stdin.on(
  'data',
  readLines(hear, () => process.exit(1)),
);
process.stdin.on('end', () => process.exit(0));
process.stdin.on('error', () => process.exit(0));
process.stdout.on('error', () => process.exit(0));
setInterval(watch, watchEveryMs);
say({ t: 'ready' });

function hear(line: string): void {
  const message = fromLine<ToChild>(line);
  if (message.t === 'run') return dispatch(message);
  const job = jobs.get(message.id);
  if (!job) return;
  if (message.t === 'answer') job.calls.delete(message.call);
  else if (job.thread.slice[2] === job.id) job.thread.slice[3] = job.id;
  job.thread.worker.postMessage(message);
}

function dispatch({ text, ...run }: Run): void {
  const { id, hash, limits } = run;
  if (text !== undefined) keepProgram(hash, text);
  const known = programs.get(hash);
  if (known === undefined) return say({ t: 'need', id });
  const thread = freest();
  const job: Job = { id, hash, cpuMs: limits.cpuMs, thread, calls: new Set(), hasCalled: false };
  jobs.set(id, job);
  thread.jobs.set(id, job);
  thread.worker.postMessage(thread.hashes.has(hash) ? run : { ...run, text: known });
  thread.hashes.add(hash);
}

const freest = (): Thread => threads.reduce((best, thread) => (load(thread) < load(best) ? thread : best));

// One that is busy for long is taken only when all are; among equals, the one with fewer jobs that wait for the host.
function load({ jobs: own, slice }: Thread): number {
  const [since = 0] = slice;
  const isLong = since > 0 && monotonicMs() - since > longSliceMs;
  let running = 0;
  for (const job of own.values()) if (job.calls.size === 0) running++;
  return (isLong ? 1e6 : 0) + running + own.size / 1e3;
}

function startThread(pipe: number): Thread {
  const clock = new SharedArrayBuffer(4 * Float64Array.BYTES_PER_ELEMENT);
  const worker = new Worker(join(dirname(fileURLToPath(import.meta.url)), 'thread.js'), {
    workerData: { clock, share: 1 / threadCount, pipe },
    env: {},
    stdout: true,
    stderr: true,
    resourceLimits: { maxOldGenerationSizeMb: 128 },
  });
  const slice = new Float64Array(clock);
  const thread: Thread = { worker, pipe, hasStarted: false, slice, jobs: new Map(), hashes: new Set() };
  worker.on('message', (message: FromThread) => note(thread, message));
  worker.on('error', () => void replace(thread, undefined));
  return thread;
}

function note(thread: Thread, message: FromThread): void {
  if (message.t === 'ready') {
    thread.hasStarted = true;
    return;
  }
  const job = thread.jobs.get(message.id);
  if (!job) return;
  if (message.t === 'called') {
    job.calls.add(message.call);
    job.hasCalled = true;
    return;
  }
  forget(job);
  if (message.t === 'ended') return;
  // The thread has given up the program's image: the next time it is handed the text.
  thread.hashes.delete(job.hash);
  say({ t: 'again', id: job.id });
}

function forget({ id, thread }: Job): void {
  thread.jobs.delete(id);
  jobs.delete(id);
}

function watch(): void {
  const now = monotonicMs();
  for (const thread of threads) {
    const [since = 0, budgetMs = 0, id = 0] = thread.slice;
    // Read once more: between the first read and the others the thread may have gone on to another slice.
    const isOne = since > 0 && thread.slice[0] === since;
    if (isOne && now - since > budgetMs + graceMs) void replace(thread, id);
  }
}

// Native built-ins of the engine cannot be interrupted: the thread is ended, and with it the other jobs on it. Those that
// had called nothing outside are simply begun again.
async function replace(thread: Thread, spinner: number | undefined): Promise<void> {
  const at = threads.indexOf(thread);
  if (at < 0) return;
  // One that cannot even start would be replaced for ever: the server is told by the end of the process.
  if (!thread.hasStarted) process.exit(1);
  threads[at] = startThread(thread.pipe);
  // What it told before its end is heard by then.
  await Promise.race([thread.worker.terminate(), sleep(lastWordsMs)]);
  for (const job of [...thread.jobs.values()]) {
    forget(job);
    if (job.id === spinner) sayEnd(job, job.cpuMs, { ok: false, kind: 'limit', limit: 'cpu' });
    else if (spinner !== undefined && !job.hasCalled) say({ t: 'again', id: job.id });
    else sayEnd(job, 0, { ok: false, kind: 'lost', message: 'its thread ended' });
  }
}

function sayEnd({ id }: Job, cpuMs: number, end: Extract<FromChild, { t: 'end' }>['end']): void {
  say({ t: 'end', id, logs: [], usage: { wallMs: 0, cpuMs, hostCalls: 0 }, end });
}

function keepProgram(hash: string, text: string): void {
  dropProgram(hash);
  programs.set(hash, text);
  programChars += text.length;
  for (const oldest of programs.keys()) {
    if (programs.size <= keptPrograms && programChars <= keptProgramChars) return;
    if (oldest !== hash) dropProgram(oldest);
  }
}

function dropProgram(hash: string): void {
  programChars -= programs.get(hash)?.length ?? 0;
  programs.delete(hash);
  for (const thread of threads) thread.hashes.delete(hash);
}
