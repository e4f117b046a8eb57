import type { ServerContext } from '@modelcontextprotocol/server';
import type { Progress } from '../contracts.ts';

const freeProgress = 100;
const everyMs = 50;
/** Hosts give up on a call that is silent for a minute. */
const usualSilenceMs = 20_000;
// Progress may only rise: a sign of life rises by almost nothing, but by enough to be another number.
const risen = (last: number): number => Math.max(last, 0) + Math.max(1e-6, last * 2 * Number.EPSILON);

interface Report {
  progress(progress: Progress): void;
  /** The call has been answered: nothing is said from now on. */
  end(): void;
}

/**
 * Progress of a call to a client that gave a token: only upwards, not after the answer (MCP, progress), thinned out where
 * code reports every step of a loop, and at least every 20 s.
 */
export function progressTo({ mcpReq }: ServerContext, every = usualSilenceMs): Report | undefined {
  const progressToken = mcpReq._meta?.progressToken;
  if (progressToken === undefined) return undefined;
  let isAnswered = false;
  let last = Number.NEGATIVE_INFINITY;
  let sent = 0;
  let sentAt = performance.now();
  const send = ({ done, total, message }: Progress): void => {
    last = done;
    sent++;
    sentAt = performance.now();
    const params = {
      progressToken,
      progress: done,
      ...(Number.isFinite(total) && { total }),
      ...(message && { message }),
    };
    // A client that is gone needs no progress; the call itself notices by its signal.
    mcpReq.notify({ method: 'notifications/progress', params }).catch(() => {});
  };
  const isOver = () => isAnswered || mcpReq.signal.aborted;
  const report = (progress: Progress): void => {
    // Sandboxed code reports what it likes, and JSON turns what is no number into null.
    if (!Number.isFinite(progress.done) || progress.done <= last || isOver()) return;
    if (sent >= freeProgress && performance.now() - sentAt < everyMs) return;
    send(progress);
  };
  // Looked at four times as often: never longer in silence than that.
  const alive = setInterval(() => {
    if (isOver()) clearInterval(alive);
    else if (performance.now() - sentAt >= every * 0.75) report({ done: risen(last), message: 'still running' });
  }, every / 4).unref();
  const end = (): void => {
    isAnswered = true;
    clearInterval(alive);
  };
  return { progress: report, end };
}
