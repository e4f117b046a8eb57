import { availableParallelism } from 'node:os';
import type { Progress } from '../contracts.ts';
import { toWeaverError, WeaverError } from '../errors.ts';
import { byteLength } from '../json.ts';
import { distFile } from '../package.ts';
import { type ChildHandle, startChild } from './child-process.ts';
import { endError, guestError, limitError } from './job-error.ts';
import type { FromChild } from './protocol.ts';
import type { Job, JobResult, Sandbox, Usage } from './sandbox.ts';

const jobsAtOnce = 256;
const maxInputBytes = 8_000_000;
const minThreads = 2;
const maxThreads = 4;

interface Pending {
  job: Job;
  input: string;
  isRetry: boolean;
  /** Host calls begun, answered or not. */
  calls: Set<number>;
  stop: AbortController;
  finish(result: JobResult): void;
}

interface Options {
  /** Threads in the child; default: one per core, 2 to 4. */
  threads?: number;
}

const noUsage: Usage = { wallMs: 0, cpuMs: 0, hostCalls: 0 };

/** The `quickjs` engine: QuickJS-NG in WebAssembly, in threads of one confined child process, started at first use. */
export function openQuickJs({ threads = defaultThreads() }: Options = {}): Sandbox {
  const pending = new Map<number, Pending>();
  let child: ChildHandle | undefined;
  let nextId = 1;
  let isClosed = false;

  const alive = (): ChildHandle => {
    child ??= startChild(distFile('sandbox'), threads, { hear, ended });
    return child;
  };
  const send = (id: number, one: Pending): void => {
    const { program, limits, now, seed } = one.job;
    const handle = alive();
    const text = handle.programs.has(program.hash) ? undefined : program.text;
    handle.programs.add(program.hash);
    handle.hold();
    handle.send({
      t: 'run',
      id,
      hash: program.hash,
      ...(text !== undefined && { text }),
      input: one.input,
      limits,
      now,
      seed,
    });
  };
  const settle = (id: number, result: JobResult): void => {
    const one = pending.get(id);
    if (!one) return;
    pending.delete(id);
    if (pending.size === 0) child?.release();
    one.stop.abort();
    one.finish(result);
  };

  // A message only ever acts for a job under way; late and forged ones are dropped.
  function hear(message: FromChild): void {
    if (message.t === 'ready') return;
    const one = pending.get(message.id);
    if (!one) return;
    if (message.t === 'call') void answer(message, one);
    else if (message.t === 'progress') tell(one.job, message.progress);
    else if (message.t === 'need') {
      child?.programs.delete(one.job.program.hash);
      send(message.id, one);
    } else settle(message.id, endResult(message, one));
  }

  async function answer({ id, call, name, json }: Extract<FromChild, { t: 'call' }>, one: Pending): Promise<void> {
    const { limits } = one.job;
    if (one.calls.has(call) || one.calls.size >= limits.hostCalls || json.length > limits.outputBytes) return;
    one.calls.add(call);
    try {
      const value = await one.job.callTool(name, JSON.parse(json), one.stop.signal);
      const answerJson = JSON.stringify(value) ?? 'null';
      if (pending.get(id) === one) child?.send({ t: 'answer', id, call, ok: true, json: answerJson });
    } catch (thrown) {
      const error = guestError(name, toWeaverError(thrown));
      if (pending.get(id) === one) child?.send({ t: 'answer', id, call, ok: false, error });
    }
  }

  function ended(): void {
    child = undefined;
    for (const [id, one] of [...pending]) {
      // Nothing had left the sandbox: begun again once, the caller notices nothing.
      if (!isClosed && !one.isRetry && one.calls.size === 0) {
        one.isRetry = true;
        send(id, one);
      } else settle(id, lost(one, isClosed));
    }
  }

  return {
    engine: 'quickjs',
    run(job) {
      const refused = refuse(job, pending.size, isClosed);
      if (refused) return Promise.resolve({ ok: false, error: refused, logs: [], usage: noUsage });
      const id = nextId++;
      return new Promise((resolve) => {
        const startedAt = performance.now();
        const stopWith = (error: WeaverError) => {
          child?.send({ t: 'stop', id });
          settle(id, { ok: false, error, logs: [], usage: { ...noUsage, wallMs: performance.now() - startedAt } });
        };
        const onAbort = () => stopWith(new WeaverError('cancelled', 'The call was cancelled while its code ran.'));
        const timer = setTimeout(() => stopWith(limitError('wall', job.limits)), job.limits.wallMs);
        const finish = (result: JobResult) => {
          clearTimeout(timer);
          job.signal.removeEventListener('abort', onAbort);
          resolve(result);
        };
        const one = {
          job,
          input: JSON.stringify(job.input) ?? 'null',
          isRetry: false,
          calls: new Set<number>(),
          stop: new AbortController(),
          finish,
        };
        pending.set(id, one);
        job.signal.addEventListener('abort', onAbort, { once: true });
        send(id, one);
      });
    },
    async close() {
      isClosed = true;
      await child?.end();
      for (const [id, one] of [...pending]) settle(id, lost(one, true));
    },
  };
}

function refuse(job: Job, underWay: number, isClosed: boolean): WeaverError | undefined {
  if (job.signal.aborted || isClosed)
    return new WeaverError('cancelled', 'The call was cancelled before its code ran.');
  if (underWay >= jobsAtOnce) {
    return new WeaverError('busy', `${jobsAtOnce} calls run or wait already.`, {
      hint: 'Try again in a moment, with fewer at once.',
    });
  }
  if (byteLength(JSON.stringify(job.input) ?? '') <= maxInputBytes) return undefined;
  return new WeaverError('bad_input', `The input is over ${maxInputBytes} bytes.`, {
    hint: 'Hand in less, or a part at a time.',
  });
}

function endResult({ logs, usage, end }: Extract<FromChild, { t: 'end' }>, one: Pending): JobResult {
  if (!end.ok) return { ok: false, error: endError(end, one.job, one.calls.size), logs, usage };
  try {
    return { ok: true, value: JSON.parse(end.json), logs, usage };
  } catch (cause) {
    return {
      ok: false,
      error: new WeaverError('bad_output', 'The code answered something that is no JSON.', { cause }),
      logs,
      usage,
    };
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
