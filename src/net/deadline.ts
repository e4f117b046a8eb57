import { WeaverError } from '../errors.ts';

/** A signal that fires when the time is over or the caller has given up; its reason is a WeaverError. */
export interface Deadline {
  readonly signal: AbortSignal;
  /** Lets go of the caller's signal and of the timer. */
  close(): void;
}

/** `totalMs` 0 is no end of its own. */
export function openDeadline(totalMs: number, signal: AbortSignal | undefined): Deadline {
  const controller = new AbortController();
  const cancel = () =>
    controller.abort(new WeaverError('cancelled', 'The request was given up.', { cause: signal?.reason }));
  const expire = () =>
    controller.abort(
      new WeaverError('timed_out', `The request took longer than ${totalMs} ms.`, {
        hint: 'Ask for less at a time, or try again later.',
      }),
    );
  const timer = totalMs > 0 ? setTimeout(expire, totalMs) : undefined;
  if (signal?.aborted) cancel();
  else signal?.addEventListener('abort', cancel, { once: true });
  return {
    signal: controller.signal,
    close() {
      clearTimeout(timer);
      signal?.removeEventListener('abort', cancel);
    },
  };
}
