import type { Progress } from '../contracts.ts';
import { toWeaverError, WeaverError } from '../errors.ts';
import { byteLength } from '../json.ts';
import { busyError, endError, guestError } from './job-error.ts';
import { type FromChild, isTooDeep, type ToChild } from './protocol.ts';
import type { Job, JobResult, Usage } from './sandbox.ts';

// What the host of every engine does for a job: checks before, host calls, the result.

const maxTimerMs = 2 ** 31 - 1;
const maxQueued = 2_000;
const maxQueuedBytes = 64_000_000;
const maxInputBytes = 8_000_000;

/** A job that waits or runs. */
export interface Pending {
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

/** One for all: an abort without a reason makes an error each time. */
export const jobEnded = new WeaverError('cancelled', 'The code that called has ended.');
export const noUsage: Usage = { wallMs: 0, cpuMs: 0, hostCalls: 0 };

export const failed = (error: WeaverError, wallMs = 0): JobResult => ({
  ok: false,
  error,
  logs: [],
  usage: { ...noUsage, wallMs },
});

export function refuse(
  job: Job,
  input: string | undefined,
  queue: { jobs: number; bytes: number },
  isClosed: boolean,
): WeaverError | undefined {
  if (job.signal.aborted || isClosed)
    return new WeaverError('cancelled', 'The call was cancelled before its code ran.');
  if (input === undefined) {
    return new WeaverError('bad_input', 'The input is no JSON value.', { hint: 'Hand in plain, flat data.' });
  }
  if (byteLength(input) > maxInputBytes) return tooLarge();
  if (queue.jobs < maxQueued && queue.bytes < maxQueuedBytes) return undefined;
  return busyError(`${queue.jobs} calls wait for a place already.`, 0);
}

export const tooLarge = (): WeaverError =>
  new WeaverError('bad_input', `The input is over ${maxInputBytes} bytes.`, {
    hint: 'Hand in less, or a part at a time.',
  });

export const noPlace = ({ limits }: Job): WeaverError =>
  busyError(`No place became free within ${limits.wallMs} ms.`, 0);

export function inputText(input: unknown): string | undefined {
  try {
    return JSON.stringify(input) ?? 'null';
  } catch {
    // Too deep, a ring, a BigInt: the caller is told that it is no JSON value.
    return undefined;
  }
}

/** How an engine ends a job that is not to go on: cancelled, or when its time is over. */
interface Ends {
  cancel(result: JobResult): void;
  timeOut(): void;
}

/** A job that is to wait for its turn, with its caller's signal and its time watched until it is finished. */
export function toPending(job: Job, input: string, resolve: (result: JobResult) => void, ends: Ends): Pending {
  const startedAt = performance.now();
  const onAbort = (): void => {
    const error = new WeaverError('cancelled', 'The call was cancelled while its code ran.');
    ends.cancel(failed(error, performance.now() - startedAt));
  };
  const timer = setTimeout(() => ends.timeOut(), Math.min(job.limits.wallMs, maxTimerMs));
  job.signal.addEventListener('abort', onAbort, { once: true });
  const finish = (result: JobResult): void => {
    clearTimeout(timer);
    job.signal.removeEventListener('abort', onAbort);
    resolve(result);
  };
  return { job, input, isRetry: false, calls: new Set(), open: 0, finish };
}

/** Hands a reply to the program; where it is too large for a message, that is the reply. */
export function sendReply(
  send: (message: ToChild) => boolean | undefined,
  { id, call, name }: Pick<Extract<FromChild, { t: 'call' }>, 'id' | 'call' | 'name'>,
  reply: Reply,
): void {
  if (send({ t: 'answer', id, call, ...reply }) !== false) return;
  send({ t: 'answer', id, call, ok: false, error: guestError(name, answerTooLarge(name)) });
}

type Reply = { ok: true; json: string } | { ok: false; error: ReturnType<typeof guestError> };

export async function answerTo(one: Pending, name: string, json: string): Promise<Reply> {
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

export function endResult({ logs, usage, end }: Extract<FromChild, { t: 'end' }>, one: Pending): JobResult {
  if (!end.ok) return { ok: false, error: endError(end, one.job, one.calls.size), logs, usage };
  try {
    return { ok: true, value: JSON.parse(end.json), logs, usage };
  } catch (cause) {
    const error = new WeaverError('bad_output', 'The code answered something that is no JSON.', { cause });
    return { ok: false, error, logs, usage };
  }
}

export function lost(one: Pending, isClosed: boolean): JobResult {
  const error = isClosed
    ? new WeaverError('cancelled', 'ToolWeaver ended while the code ran.')
    : endError({ ok: false, kind: 'lost', message: 'the sandbox process ended' }, one.job, one.calls.size);
  return { ok: false, error, logs: [], usage: { ...noUsage, hostCalls: one.calls.size } };
}

// What a listener throws is not the job's fault.
export function tell(job: Job, progress: Progress): void {
  try {
    job.progress?.(progress);
  } catch {
    // Progress is a courtesy: nothing is lost without it.
  }
}
