import { availableParallelism } from 'node:os';
import type { Progress } from '../contracts.ts';
import { toWeaverError, WeaverError } from '../errors.ts';
import { byteLength } from '../json.ts';
import { distFile } from '../package.ts';
import { type ChildHandle, startChild } from './child-process.ts';
import { busyError, endError, guestError, limitError } from './job-error.ts';
import { Places } from './places.ts';
import { type FromChild, isTooDeep } from './protocol.ts';
import type { Job, JobResult, Sandbox, Usage } from './sandbox.ts';

const runningPerThread = 16;
const waitingForHostAtOnce = 256;
const maxQueued = 2_000;
const maxQueuedBytes = 64_000_000;
const maxInputBytes = 8_000_000;
const minThreads = 2;
const maxThreads = 4;
const maxTimerMs = 2 ** 31 - 1;

interface Pending {
  job: Job;
  input: string;
  isRetry: boolean;
  /** Host calls begun, answered or not; and how many have no answer yet. */
  calls: Set<number>;
  open: number;
  /** Ends its host calls with it; made for the first of them. */
  stop?: AbortController;
  finish(result: JobResult): void;
}

interface Options {
  /** Threads in the child; default: one per core, 2 to 4. */
  threads?: number;
}

// One for all: an abort without a reason makes an error each time.
const jobEnded = new WeaverError('cancelled', 'The code that called has ended.');
const noUsage: Usage = { wallMs: 0, cpuMs: 0, hostCalls: 0 };

/** The `quickjs` engine: QuickJS-NG in WebAssembly, in threads of one confined child process, started at first use. */
export function openQuickJs({ threads = defaultThreads() }: Options = {}): Sandbox {
  const pending = new Map<number, Pending>();
  const places = new Places(threads * runningPerThread);
  let child: ChildHandle | undefined;
  let nextId = 1;
  let isClosed = false;

  const alive = (): ChildHandle => {
    child ??= startChild(distFile('sandbox'), threads, { hear, ended });
    return child;
  };
  const send = (id: number, one: Pending): void => {
    try {
      if (!alive().run(id, one.job, one.input)) settle(id, failed(tooLarge()));
    } catch (cause) {
      settle(id, failed(new WeaverError('unavailable', 'The sandbox process cannot be started.', { cause })));
    }
  };
  const pump = (): void => {
    if (isClosed) return;
    for (let id = places.next(); id !== undefined; id = places.next()) {
      const one = pending.get(id);
      if (one) send(id, one);
    }
  };
  const settle = (id: number, result: JobResult): void => {
    const one = pending.get(id);
    if (!one) return;
    pending.delete(id);
    places.leave(id);
    if (pending.size === 0) child?.release();
    one.stop?.abort(jobEnded);
    one.finish(result);
    pump();
  };
  const stopWith = (id: number, result: JobResult): void => {
    child?.send({ t: 'stop', id });
    settle(id, result);
  };

  // A message only ever acts for a job under way; late and forged ones are dropped.
  function hear(message: FromChild): void {
    if (message.t === 'ready') return;
    const one = pending.get(message.id);
    if (!one) return;
    if (message.t === 'call') void answer(message, one);
    else if (message.t === 'progress') tell(one.job, message.progress);
    else if (message.t === 'end') end(message, one);
    else if (one.calls.size === 0) {
      if (message.t === 'need') child?.programs.delete(one.job.program.hash);
      send(message.id, one);
    } else settle(message.id, lost(one, isClosed));
  }

  function end(message: Extract<FromChild, { t: 'end' }>, one: Pending): void {
    const isLost = !message.end.ok && message.end.kind === 'lost';
    if (isLost && mayRetry(one)) retry(message.id, one);
    else settle(message.id, endResult(message, one));
  }

  async function answer({ id, call, name, json }: Extract<FromChild, { t: 'call' }>, one: Pending): Promise<void> {
    const { limits } = one.job;
    if (one.calls.has(call) || one.calls.size >= limits.hostCalls || json.length > limits.outputBytes) return;
    if (one.open === 0 && places.waitingForHost >= waitingForHostAtOnce) {
      return stopWith(id, failed(busyError(`${waitingForHostAtOnce} calls wait for tools already.`, one.calls.size)));
    }
    one.calls.add(call);
    one.open++;
    places.waitForHost(id);
    pump();
    const reply = await answerTo(one, name, json);
    if (pending.get(id) !== one) return;
    one.open--;
    if (one.open === 0) places.run(id);
    if (child?.send({ t: 'answer', id, call, ...reply }) === false) {
      child.send({ t: 'answer', id, call, ok: false, error: guestError(name, answerTooLarge(name)) });
    }
  }

  function ended(): void {
    child = undefined;
    for (const id of places.begun()) {
      const one = pending.get(id);
      if (!one) continue;
      if (!isClosed && mayRetry(one)) retry(id, one);
      else settle(id, lost(one, isClosed));
    }
  }

  // Nothing had left the sandbox: begun again once, the caller notices nothing.
  const mayRetry = (one: Pending): boolean => !one.isRetry && one.calls.size === 0;
  function retry(id: number, one: Pending): void {
    one.isRetry = true;
    send(id, one);
  }

  function begin(job: Job, input: string, resolve: (result: JobResult) => void): void {
    const id = nextId++;
    const startedAt = performance.now();
    const stop = (error: WeaverError) => stopWith(id, failed(error, performance.now() - startedAt));
    const onAbort = () => stop(new WeaverError('cancelled', 'The call was cancelled while its code ran.'));
    const onTime = () => stop(places.isQueued(id) ? noPlace(job) : limitError('wall', job.limits));
    const timer = setTimeout(onTime, Math.min(job.limits.wallMs, maxTimerMs));
    const finish = (result: JobResult) => {
      clearTimeout(timer);
      job.signal.removeEventListener('abort', onAbort);
      resolve(result);
    };
    pending.set(id, { job, input, isRetry: false, calls: new Set(), open: 0, finish });
    job.signal.addEventListener('abort', onAbort, { once: true });
    places.enqueue(id, input.length);
    pump();
  }

  return {
    engine: 'quickjs',
    run(job) {
      const input = inputText(job.input);
      const refused = refuse(job, input, places, isClosed);
      if (refused || input === undefined) return Promise.resolve(failed(refused ?? tooLarge()));
      return new Promise((resolve) => begin(job, input, resolve));
    },
    async close() {
      isClosed = true;
      await child?.end();
      for (const [id, one] of [...pending]) settle(id, lost(one, true));
    },
  };
}

const failed = (error: WeaverError, wallMs = 0): JobResult => ({
  ok: false,
  error,
  logs: [],
  usage: { ...noUsage, wallMs },
});

function refuse(job: Job, input: string | undefined, { queue }: Places, isClosed: boolean): WeaverError | undefined {
  if (job.signal.aborted || isClosed)
    return new WeaverError('cancelled', 'The call was cancelled before its code ran.');
  if (input === undefined) {
    return new WeaverError('bad_input', 'The input is no JSON value.', { hint: 'Hand in plain, flat data.' });
  }
  if (byteLength(input) > maxInputBytes) return tooLarge();
  if (queue.jobs < maxQueued && queue.bytes < maxQueuedBytes) return undefined;
  return busyError(`${queue.jobs} calls wait for a place already.`, 0);
}

const tooLarge = (): WeaverError =>
  new WeaverError('bad_input', `The input is over ${maxInputBytes} bytes.`, {
    hint: 'Hand in less, or a part at a time.',
  });

const noPlace = ({ limits }: Job): WeaverError => busyError(`No place became free within ${limits.wallMs} ms.`, 0);

function inputText(input: unknown): string | undefined {
  try {
    return JSON.stringify(input) ?? 'null';
  } catch {
    // Too deep, a ring, a BigInt: the caller is told that it is no JSON value.
    return undefined;
  }
}

type Reply = { ok: true; json: string } | { ok: false; error: ReturnType<typeof guestError> };

async function answerTo(one: Pending, name: string, json: string): Promise<Reply> {
  const { job } = one;
  one.stop ??= new AbortController();
  try {
    const value = JSON.stringify(await job.callTool(name, JSON.parse(json), one.stop.signal)) ?? 'null';
    if (isTooDeep(value)) throw answerTooDeep(name);
    return { ok: true, json: value };
  } catch (thrown) {
    return { ok: false, error: guestError(name, toWeaverError(thrown)) };
  }
}

const answerTooDeep = (name: string): WeaverError =>
  new WeaverError('limit_exceeded', `${name} answered something that nests too deeply.`, {
    details: { limit: 'depth' },
  });

const answerTooLarge = (name: string): WeaverError =>
  new WeaverError('limit_exceeded', `${name} answered more than fits into one message.`, {
    hint: 'Ask it for less: a part, a summary, or a page.',
    details: { limit: 'output' },
  });

function endResult({ logs, usage, end }: Extract<FromChild, { t: 'end' }>, one: Pending): JobResult {
  if (!end.ok) return { ok: false, error: endError(end, one.job, one.calls.size), logs, usage };
  try {
    return { ok: true, value: JSON.parse(end.json), logs, usage };
  } catch (cause) {
    const error = new WeaverError('bad_output', 'The code answered something that is no JSON.', { cause });
    return { ok: false, error, logs, usage };
  }
}

function lost(one: Pending, isClosed: boolean): JobResult {
  const error = isClosed
    ? new WeaverError('cancelled', 'ToolWeaver ended while the code ran.')
    : endError({ ok: false, kind: 'lost', message: 'the sandbox process ended' }, one.job, one.calls.size);
  return { ok: false, error, logs: [], usage: { ...noUsage, hostCalls: one.calls.size } };
}

// What a listener throws is not the job's fault.
function tell(job: Job, progress: Progress): void {
  try {
    job.progress?.(progress);
  } catch {
    // Progress is a courtesy: nothing is lost without it.
  }
}

const defaultThreads = (): number => Math.min(Math.max(availableParallelism(), minThreads), maxThreads);
