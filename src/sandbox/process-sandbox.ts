import type { Progress } from '../contracts.ts';
import { byteLength } from '../json.ts';
import type { Ending, GuestProcess, Used } from './guest-process.ts';
import { toProgress } from './guest-text.ts';
import {
  answerTo,
  endResult,
  failed,
  inputText,
  jobEnded,
  lost,
  noPlace,
  type Pending,
  refuse,
  sendReply,
  tell,
  tooLarge,
  toPending,
} from './host-job.ts';
import { busyError, limitError } from './job-error.ts';
import { type End, type FromChild, isTooDeep, type LimitName } from './protocol.ts';
import type { Engine, Job, JobResult, Sandbox } from './sandbox.ts';

const runningAtOnce = 8;
const processesAtOnce = 32;
const keptIdle = 8;
const keptBlank = 2;
const idleMs = 60_000;
const callsEach = 500;
const watchEveryMs = 25;
const spareMemoryMb = 64;
const restCpuMs = 100;
const freeProgress = 100;
const tellEveryMs = 45;

/** Starts a process with so much memory. `hear` hears what it says; what is no message ends it. */
export type Start = (memoryMb: number, hear: (message: FromChild) => void) => GuestProcess;

interface Worker {
  process: GuestProcess;
  memoryMb: number;
  /** Whose it is from its first job on: program and owner. */
  key: string | undefined;
  calls: number;
  idleSince: number;
  job: Running | undefined;
  isReady: boolean;
  /** What it had used when its last job ended: from then on it has nothing to do. */
  atRest: Used | undefined;
  isEnded: boolean;
}

interface Running {
  id: number;
  one: Pending;
  worker: Worker;
  before: Used | undefined;
  startedAt: number;
  /** Since when it waits for the host, and for how long it had waited before. */
  waitingSince: number | undefined;
  waitedMs: number;
  told: number;
  toldAt: number;
  untold: Progress | undefined;
}

/**
 * An engine of confined processes, each for one program and owner and for one job at a time, so that what a job uses and how
 * it ends is its own.
 */
export function openProcesses(engine: Engine, start: Start): Sandbox {
  return new ProcessSandbox(engine, start);
}

class ProcessSandbox implements Sandbox {
  readonly engine: Engine;
  readonly #startProcess: Start;
  readonly #workers = new Set<Worker>();
  readonly #queue = new Map<number, Pending>();
  readonly #running = new Map<number, Running>();
  #queuedBytes = 0;
  #nextId = 1;
  #isClosed = false;
  #watch: NodeJS.Timeout | undefined;

  constructor(engine: Engine, start: Start) {
    this.engine = engine;
    this.#startProcess = start;
  }

  run(job: Job): Promise<JobResult> {
    const input = inputText(job.input);
    const refused = refuse(job, input, { jobs: this.#queue.size, bytes: this.#queuedBytes }, this.#isClosed);
    if (refused || input === undefined) return Promise.resolve(failed(refused ?? tooLarge()));
    return new Promise((resolve) => this.#enqueue(job, input, resolve));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#watch);
    const all = [...this.#workers];
    for (const { process } of all) {
      // Held until it is gone: nothing else may keep the event loop alive by then.
      process.hold(true);
      process.kill();
    }
    await Promise.all(all.map(({ process }) => process.ended));
    for (const [id, one] of [...this.#queue]) this.#settle(id, lost(one, true));
    for (const [id, { one }] of [...this.#running]) this.#settle(id, lost(one, true));
  }

  #enqueue(job: Job, input: string, resolve: (result: JobResult) => void): void {
    const id = this.#nextId++;
    const one = toPending(job, input, resolve, {
      cancel: (result) => this.#stop(id, result),
      timeOut: () => {
        const run = this.#running.get(id);
        if (run) this.#stopAt(run, 'wall');
        else this.#stop(id, failed(noPlace(job)));
      },
    });
    this.#queue.set(id, one);
    this.#queuedBytes += input.length;
    this.#pump();
  }

  #pump(): void {
    for (const [id, one] of this.#queue) {
      const computing = [...this.#running.values()].filter(({ waitingSince }) => waitingSince === undefined);
      if (this.#isClosed || computing.length >= runningAtOnce) return;
      const worker = this.#workerFor(one.job);
      // All others wait for the host, perhaps for this very job: it must not wait for them.
      if (worker) this.#begin(id, one, worker);
      else this.#settle(id, failed(busyError(`${processesAtOnce} calls run in ${this.engine} already.`, 0)));
    }
  }

  // One that has the program already, one that nobody has used yet, or a new one.
  #workerFor({ limits, program, owner }: Job): Worker | undefined {
    const key = `${program.hash} ${owner}`;
    const free = [...this.#workers].filter((worker) => !worker.job && worker.memoryMb === limits.memoryMb);
    const found = free.find((worker) => worker.key === key) ?? free.find((worker) => worker.key === undefined);
    if (found) return found;
    return this.#hasRoom() ? this.#start(limits.memoryMb) : undefined;
  }

  #hasRoom(): boolean {
    if (this.#workers.size < processesAtOnce) return true;
    const [oldest] = this.#idle();
    if (oldest) this.#end(oldest);
    return oldest !== undefined;
  }

  /** Those without a job, the one used longest ago first. */
  #idle(): Worker[] {
    return [...this.#workers].filter(({ job }) => !job).sort((a, b) => a.idleSince - b.idleSince);
  }

  #start(memoryMb: number): Worker {
    const worker: Worker = {
      process: this.#startProcess(memoryMb, (message) => this.#hear(worker, message)),
      memoryMb,
      key: undefined,
      calls: 0,
      idleSince: Date.now(),
      job: undefined,
      isReady: false,
      atRest: undefined,
      isEnded: false,
    };
    this.#workers.add(worker);
    worker.process.hold(false);
    void worker.process.ended.then((ending) => this.#gone(worker, ending));
    this.#watch ??= setInterval(() => this.#look(), watchEveryMs).unref();
    return worker;
  }

  #end(worker: Worker): void {
    worker.isEnded = true;
    this.#workers.delete(worker);
    worker.process.kill();
  }

  #begin(id: number, one: Pending, worker: Worker): void {
    const { program, owner, limits, now, seed } = one.job;
    this.#queue.delete(id);
    this.#queuedBytes -= one.input.length;
    const [before, startedAt] = [worker.process.used(), performance.now()];
    const waits = { waitingSince: undefined, waitedMs: 0 };
    const job: Running = { id, one, worker, before, startedAt, ...waits, told: 0, toldAt: 0, untold: undefined };
    this.#running.set(id, job);
    const text = worker.key === undefined ? { text: program.text } : {};
    Object.assign(worker, { key: `${program.hash} ${owner}`, job, calls: worker.calls + 1 });
    worker.process.hold(true);
    const isSent = worker.process.send({
      ...{ t: 'run', id, hash: program.hash, ...text },
      ...{ input: one.input, limits, now, seed },
    });
    if (isSent) this.#warm(limits.memoryMb);
    else this.#stop(id, failed(tooLarge()));
  }

  // The first call of the next program then finds a process that has started.
  #warm(memoryMb: number): void {
    const blank = [...this.#workers].filter(({ key }) => key === undefined).length;
    if (blank < keptBlank && this.#workers.size < processesAtOnce - keptBlank) this.#start(memoryMb);
  }

  #settle(id: number, result: JobResult): void {
    const job = this.#running.get(id);
    const one = job?.one ?? this.#queue.get(id);
    if (!one) return;
    if (!job) this.#queuedBytes -= one.input.length;
    this.#running.delete(id);
    this.#queue.delete(id);
    if (job) this.#release(job.worker);
    one.stop?.abort(jobEnded);
    one.finish(result);
    this.#pump();
  }

  #release(worker: Worker): void {
    worker.job = undefined;
    worker.idleSince = Date.now();
    worker.atRest = worker.process.used();
    worker.process.hold(false);
    if (worker.calls >= callsEach) this.#end(worker);
    for (const oldest of this.#idle().slice(0, -(keptIdle + keptBlank))) this.#end(oldest);
  }

  /** Ends a job together with its process: nothing else stops what computes. */
  #stop(id: number, result: JobResult): void {
    const job = this.#running.get(id);
    if (job) this.#end(job.worker);
    this.#settle(id, result);
  }

  #stopAt(job: Running, limit: LimitName): void {
    this.#stop(job.id, { ...failed(limitError(limit, job.one.job.limits)), usage: usageOf(job) });
  }

  // A message acts only for the job that its process runs. The program may have written it.
  #hear(worker: Worker, message: FromChild): void {
    const { job, isEnded, isReady } = worker;
    if (isEnded) return;
    // What it took to start is not the job's; said again it would be a way to be counted from nothing.
    if (message.t === 'ready' && !isReady) {
      worker.isReady = true;
      if (job) job.before = worker.process.used();
      return;
    }
    if (!job || message.t === 'ready' || message.id !== job.id) return;
    if (message.t === 'call' && isCall(message)) void this.#answer(message, job);
    else if (message.t === 'progress') this.#progress(message.progress, job);
    else if (message.t === 'end') this.#finish(message, job);
    else throw new TypeError('Not a message of a process');
  }

  // As the process does, which a program may have talked out of it: the first hundred are told each, then a few of many.
  #progress(told: unknown, job: Running): void {
    job.untold = toProgress(told) ?? job.untold;
    if (job.told < freeProgress || performance.now() - job.toldAt >= tellEveryMs) tellProgress(job);
  }

  #finish(message: Extract<FromChild, { t: 'end' }>, job: Running): void {
    const { limits } = job.one.job;
    tellProgress(job);
    const end = judged(message.end, limits.outputBytes);
    const logs = trimmed(message.logs, limits.logBytes);
    const usage = usageOf(job);
    // The one too many was not handed on.
    if (!end.ok && end.kind === 'limit' && end.limit === 'host_calls') usage.hostCalls++;
    const result = endResult({ ...message, end, logs, usage }, job.one);
    // One whose memory or stack ran out may be in any state.
    if (!end.ok && end.kind === 'limit') this.#end(job.worker);
    this.#settle(job.id, result);
  }

  async #answer({ id, call, name, json }: CallMessage, job: Running): Promise<void> {
    const { one, worker } = job;
    const { limits } = one.job;
    if (one.calls.has(call)) return;
    const isOver = one.calls.size >= limits.hostCalls || one.open >= limits.hostCallsAtOnce;
    one.calls.add(call);
    if (isOver) return this.#stopAt(job, 'host_calls');
    if (byteLength(json) > limits.outputBytes) return this.#stopAt(job, 'output');
    if (isTooDeep(json)) return this.#stopAt(job, 'depth');
    one.open++;
    job.waitingSince ??= performance.now();
    this.#pump();
    const reply = await answerTo(one, name.slice(0, 200), json);
    if (this.#running.get(id) !== job) return;
    one.open--;
    if (one.open === 0 && job.waitingSince !== undefined) {
      job.waitedMs += performance.now() - job.waitingSince;
      job.waitingSince = undefined;
    }
    sendReply(worker.process.send, { id, call, name }, reply);
  }

  #gone(worker: Worker, ending: Ending): void {
    const { job, isEnded } = worker;
    worker.isEnded = true;
    this.#workers.delete(worker);
    if (!job || isEnded) return;
    const { id, one } = job;
    if (ending === 'memory') return this.#stopAt(job, 'memory');
    if (this.#isClosed || one.isRetry || one.calls.size > 0) return this.#settle(id, lost(one, this.#isClosed));
    // It could not start, or somebody ended it. Nothing had left it: begun again once, the caller notices nothing.
    this.#running.delete(id);
    this.#queue.set(id, Object.assign(one, { isRetry: true }));
    this.#queuedBytes += one.input.length;
    this.#pump();
  }

  #look(): void {
    const now = Date.now();
    for (const worker of this.#workers) {
      if (worker.job) this.#check(worker.job);
      else if (now - worker.idleSince > idleMs || isRestless(worker)) this.#end(worker);
    }
    if (this.#workers.size > 0) return;
    clearInterval(this.#watch);
    this.#watch = undefined;
  }

  #check(job: Running): void {
    const { cpuMs, memoryMb } = job.one.job.limits;
    const used = job.worker.process.used();
    const grown = used && job.before ? used.memoryMb - job.before.memoryMb : 0;
    if (usageOf(job, used).cpuMs > cpuMs) this.#stopAt(job, 'cpu');
    else if (grown > memoryMb + spareMemoryMb) this.#stopAt(job, 'memory');
  }
}

/** What the system has counted; where it does not count, the time in which the job did not wait for the host. */
function usageOf(job: Running, used = job.worker.process.used()): JobResult['usage'] {
  const { one, before, startedAt, waitingSince, waitedMs } = job;
  const now = performance.now();
  const wallMs = now - startedAt;
  const waited = waitedMs + (waitingSince === undefined ? 0 : now - waitingSince);
  const cpuMs = used && before ? used.cpuMs - before.cpuMs : wallMs - waited;
  return { wallMs, cpuMs: Math.max(0, cpuMs), hostCalls: one.calls.size };
}

/** True for one that goes on with something although its job has ended. */
function isRestless({ atRest, process, memoryMb }: Worker): boolean {
  const used = process.used();
  if (!atRest || !used) return false;
  return used.cpuMs - atRest.cpuMs > restCpuMs || used.memoryMb - atRest.memoryMb > memoryMb;
}

type CallMessage = Extract<FromChild, { t: 'call' }>;
const isCall = ({ call, name, json }: CallMessage): boolean =>
  Number.isSafeInteger(call) && typeof name === 'string' && typeof json === 'string';

function tellProgress(job: Running): void {
  if (!job.untold) return;
  job.toldAt = performance.now();
  job.told++;
  tell(job.one.job, job.untold);
  job.untold = undefined;
}

/** How it says that it ended, as far as that may be. */
function judged(end: End, outputBytes: number): End {
  if (!end.ok) return end;
  if (byteLength(end.json) > outputBytes) return { ok: false, kind: 'limit', limit: 'output' };
  return isTooDeep(end.json) ? { ok: false, kind: 'limit', limit: 'depth' } : end;
}

function trimmed(logs: unknown, logBytes: number): string[] {
  const lines: string[] = [];
  let left = logBytes;
  for (const line of Array.isArray(logs) ? logs : []) {
    if (typeof line !== 'string' || left <= 0) break;
    lines.push(byteLength(line) > left ? `${Buffer.from(line).subarray(0, left).toString()}…` : line);
    left -= byteLength(line) + 1;
  }
  return lines;
}
