import { setMaxListeners } from 'node:events';
import { WeaverError } from '../errors.ts';

// One for all: making an error costs more than all else here.
const ended = new WeaverError('cancelled', 'The call that it was part of has ended.');

/**
 * Runs `work` until it ends, its caller aborts `stop` or the deadline (milliseconds since 1970) passes, whichever is
 * first. `stop` has fired in every case by then: what the work began and did not wait for ends with it.
 * @throws WeaverError `cancelled`, `timed_out`, or whatever `work` throws.
 */
export async function underDeadline<T>(
  stop: AbortController,
  deadlineAt: number,
  name: string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { signal } = stop;
  // A skill may have 32 nested calls at once, and each listens.
  setMaxListeners(0, signal);
  // Who cancels may say why; most only abort.
  const reason = (): WeaverError =>
    signal.reason instanceof WeaverError
      ? signal.reason
      : new WeaverError('cancelled', `${name} was cancelled by its caller.`);
  if (signal.aborted) throw reason();
  const stopped = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(reason()), { once: true });
  });
  const onDeadline = () =>
    stop.abort(new WeaverError('timed_out', `${name} did not end in the time allowed for the call.`));
  const timer = setTimeout(onDeadline, Math.min(Math.max(deadlineAt - Date.now(), 0), 2 ** 31 - 1));
  try {
    return await Promise.race([stopped, work(signal)]);
  } finally {
    stop.abort(ended);
    clearTimeout(timer);
  }
}
