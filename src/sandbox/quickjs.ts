import { availableParallelism } from 'node:os';
import { WeaverError } from '../errors.ts';
import { distFile } from '../package.ts';
import { type ChildHandle, startChild } from './child-process.ts';
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
import { Places } from './places.ts';
import type { FromChild } from './protocol.ts';
import type { Job, JobResult, Sandbox } from './sandbox.ts';

const runningPerThread = 16;
const waitingForHostAtOnce = 256;
const minThreads = 2;
const maxThreads = 4;

interface Options {
  /** Threads in the child; default: one per core, 2 to 4. */
  threads?: number;
}

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
    sendReply((message) => child?.send(message), { id, call, name }, reply);
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
    const one = toPending(job, input, resolve, {
      cancel: (result) => stopWith(id, result),
      timeOut() {
        const error = places.isQueued(id) ? noPlace(job) : limitError('wall', job.limits);
        stopWith(id, failed(error, performance.now() - startedAt));
      },
    });
    pending.set(id, one);
    places.enqueue(id, input.length);
    pump();
  }

  return {
    engine: 'quickjs',
    run(job) {
      const input = inputText(job.input);
      const refused = refuse(job, input, places.queue, isClosed);
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

const defaultThreads = (): number => Math.min(Math.max(availableParallelism(), minThreads), maxThreads);
