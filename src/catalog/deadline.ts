import { setMaxListeners } from 'node:events';
import { WeaverError } from '../errors.ts';

// One for all: making an error costs more than all else here.
const ended = new WeaverError('cancelled', 'The call that it was part of has ended.');

/**
 * Runs `work` until it ends, the caller cancels or the deadline (milliseconds since 1970) passes, whichever is first.
 * `work`'s signal fires in the last two cases, when its own end is no longer waited for, and after its end.
 * @throws WeaverError `cancelled`, `timed_out`, or whatever `work` throws.
 */
export async function underDeadline<T>(
  outer: AbortSignal,
  deadlineAt: number,
  name: string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  // A skill may have 32 nested calls at once, and each listens.
  setMaxListeners(0, controller.signal);
  let stop: (error: WeaverError) => void = () => {};
  const stopped = new Promise<never>((_, reject) => {
    stop = (error) => {
      controller.abort(error);
      reject(error);
    };
  });
  // Who cancels may say why; most only abort.
  const onAbort = () =>
    stop(
      outer.reason instanceof WeaverError
        ? outer.reason
        : new WeaverError('cancelled', `${name} was cancelled by its caller.`),
    );
  const onDeadline = () => stop(new WeaverError('timed_out', `${name} did not end in the time allowed for the call.`));
  const timer = setTimeout(onDeadline, Math.min(Math.max(deadlineAt - Date.now(), 0), 2 ** 31 - 1));
  outer.addEventListener('abort', onAbort, { once: true });
  if (outer.aborted) onAbort();
  try {
    return await Promise.race([stopped, controller.signal.aborted ? stopped : work(controller.signal)]);
  } finally {
    // Calls that the work began and did not wait for end with it.
    controller.abort(ended);
    clearTimeout(timer);
    outer.removeEventListener('abort', onAbort);
  }
}
