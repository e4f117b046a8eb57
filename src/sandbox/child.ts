import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { type FromChild, readLines, type ToChild } from './protocol.ts';

// The main thread of the confined child: it only routes between the server (stdin, stdout) and the threads, ends a
// thread that spins, and ends the process, spinning threads included, when the server is gone.

const runningAtOnce = 16;
const watchEveryMs = 50;
const graceMs = 250;
const keptPrograms = 1_000;

type Run = Extract<ToChild, { t: 'run' }>;

interface Job {
  run: Run;
  thread?: Thread;
  /** Host calls without an answer: a job that waits for the host holds no slot. */
  calls: Set<number>;
  hasCalled: boolean;
}

interface Thread {
  worker: Worker;
  /** When the slice under way began (0: none), its budget, and whose it is. */
  slice: Float64Array;
  jobs: Map<number, Job>;
  hashes: Set<string>;
}

const jobs = new Map<number, Job>();
const queue: Job[] = [];
const programs = new Map<string, string>();
const threads: Thread[] = Array.from({ length: Number(process.argv[2] ?? 2) }, startThread);

const say = (message: FromChild): void => void process.stdout.write(`${JSON.stringify(message)}\n`);

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
  const message = JSON.parse(line) as ToChild;
  if (message.t === 'run') return enqueue(message);
  const job = jobs.get(message.id);
  if (!job) return;
  if (message.t === 'answer') job.calls.delete(message.call);
  if (job.thread) job.thread.worker.postMessage(message);
  else drop(job);
}

function enqueue(run: Run): void {
  if (run.text !== undefined) keepProgram(run.hash, run.text);
  else if (!programs.has(run.hash)) return say({ t: 'need', id: run.id });
  const job: Job = { run, calls: new Set(), hasCalled: false };
  jobs.set(run.id, job);
  queue.push(job);
  pump();
}

function drop(job: Job): void {
  jobs.delete(job.run.id);
  const at = queue.indexOf(job);
  if (at >= 0) queue.splice(at, 1);
}

function pump(): void {
  for (let thread = freest(); queue.length > 0 && running(thread) < runningAtOnce; thread = freest()) {
    const job = queue.shift();
    if (job) dispatch(job, thread);
  }
}

function dispatch(job: Job, thread: Thread): void {
  const { text: _, ...run } = job.run;
  job.thread = thread;
  thread.jobs.set(run.id, job);
  const text = thread.hashes.has(run.hash) ? undefined : programs.get(run.hash);
  thread.hashes.add(run.hash);
  thread.worker.postMessage({ ...run, ...(text !== undefined && { text }) });
}

const running = (thread: Thread): number => {
  let count = 0;
  for (const job of thread.jobs.values()) if (job.calls.size === 0) count++;
  return count;
};

const freest = (): Thread => threads.reduce((best, thread) => (running(thread) < running(best) ? thread : best));

function startThread(): Thread {
  const clock = new SharedArrayBuffer(3 * Float64Array.BYTES_PER_ELEMENT);
  const worker = new Worker(join(dirname(fileURLToPath(import.meta.url)), 'thread.js'), {
    workerData: { clock },
    env: {},
    stdout: true,
    stderr: true,
    resourceLimits: { maxOldGenerationSizeMb: 128 },
  });
  const thread: Thread = { worker, slice: new Float64Array(clock), jobs: new Map(), hashes: new Set() };
  worker.on('message', (message: FromChild) => relay(thread, message));
  worker.on('error', () => replace(thread, undefined));
  return thread;
}

function relay(thread: Thread, message: FromChild): void {
  if (message.t === 'ready') return;
  const job = thread.jobs.get(message.id);
  if (!job) return;
  if (message.t === 'need') {
    // The thread has forgotten the program: hand it out again.
    thread.hashes.delete(job.run.hash);
    return dispatch(job, thread);
  }
  if (message.t === 'call') {
    job.calls.add(message.call);
    job.hasCalled = true;
  }
  if (message.t === 'end') forget(thread, message.id);
  say(message);
  pump();
}

function forget(thread: Thread, id: number): void {
  thread.jobs.delete(id);
  jobs.delete(id);
}

function watch(): void {
  const now = performance.timeOrigin + performance.now();
  for (const thread of threads) {
    const [since = 0, budgetMs = 0, id = 0] = thread.slice;
    if (since > 0 && now - since > budgetMs + graceMs) replace(thread, id);
  }
}

// Native built-ins of the engine cannot be interrupted: the thread is ended, and with it the other jobs on it. Those that
// had called nothing outside are simply begun again.
function replace(thread: Thread, spinner: number | undefined): void {
  const at = threads.indexOf(thread);
  if (at < 0) return;
  threads[at] = startThread();
  void thread.worker.terminate();
  for (const [id, job] of thread.jobs) {
    if (id !== spinner && !job.hasCalled && spinner !== undefined) {
      delete job.thread;
      queue.push(job);
      continue;
    }
    jobs.delete(id);
    const usage = { wallMs: 0, cpuMs: id === spinner ? job.run.limits.cpuMs : 0, hostCalls: 0 };
    const lost = { ok: false, kind: 'lost', message: 'its thread ended' } as const;
    say({ t: 'end', id, logs: [], usage, end: id === spinner ? { ok: false, kind: 'limit', limit: 'cpu' } : lost });
  }
  pump();
}

function keepProgram(hash: string, text: string): void {
  programs.delete(hash);
  programs.set(hash, text);
  if (programs.size > keptPrograms) programs.delete(programs.keys().next().value ?? hash);
}
