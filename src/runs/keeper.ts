import type { Progress } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Database } from '../store/database.ts';
import { type RunKey, renewLease } from './table.ts';

/** How long a process promises to look after its runs, and how often it renews that, and looks whether one was cancelled. */
export interface RunTimes {
  leaseMs: number;
  renewMs: number;
  lookMs: number;
}

const usualTimes: RunTimes = { leaseMs: 30_000, renewMs: 10_000, lookMs: 1_000 };

/** A kept run under way in this process. */
export interface HeldRun extends RunKey {
  /** How far it is; another object each time. */
  readonly progress: Progress | undefined;
  cancel(error: WeaverError): void;
  /** Settles when its end is recorded. */
  readonly ended: Promise<unknown>;
}

/** Looks after the kept runs of this process: renews their leases, and stops those that somebody cancelled elsewhere. */
export interface RunKeeper {
  readonly leaseMs: number;
  hold(run: HeldRun): void;
  release(run: HeldRun): void;
  /** Cancels what is still under way, and waits until that is recorded. */
  close(): Promise<void>;
}

export function createRunKeeper(
  { read, write }: Pick<Database, 'read' | 'write'>,
  log: Log,
  { leaseMs, renewMs, lookMs }: RunTimes = usualTimes,
): RunKeeper {
  const held = new Map<string, HeldRun>();
  const shown = new WeakSet<Progress>();
  let timer: NodeJS.Timeout | undefined;
  let renewAt = 0;
  let closedWith: WeaverError | undefined;

  const look = async (): Promise<void> => {
    const runs = [...held.values()];
    if (runs.length === 0) return;
    const news = runs.flatMap(({ progress }) => (progress && !shown.has(progress) ? [progress] : []));
    const mustWrite = news.length > 0 || Date.now() >= renewAt;
    const ended = mustWrite
      ? await write((trx) => renewLease(trx, runs, Date.now() + leaseMs))
      : await endedAmong(read, runs);
    if (mustWrite) renewAt = Date.now() + renewMs;
    for (const progress of news) shown.add(progress);
    // One that has asked since, and goes on with its answer, is another by now.
    for (const run of runs) {
      if (ended.has(run.id) && held.get(run.id) === run)
        run.cancel(new WeaverError('cancelled', 'The run was cancelled.'));
    }
  };
  const schedule = (): void => {
    if (timer || held.size === 0 || closedWith) return;
    timer = setTimeout(() => {
      look()
        .catch((error: unknown) => log.warn({ error }, 'kept runs could not be looked after'))
        .finally(() => {
          timer = undefined;
          schedule();
        });
    }, lookMs).unref();
  };

  return {
    leaseMs,
    hold(run) {
      if (closedWith) return run.cancel(closedWith);
      if (held.size === 0) renewAt = Date.now() + renewMs;
      held.set(run.id, run);
      schedule();
    },
    release(run) {
      if (held.get(run.id) === run) held.delete(run.id);
    },
    async close() {
      clearTimeout(timer);
      closedWith = new WeaverError('cancelled', 'ToolWeaver ended while the run was under way.', {
        hint: 'Call it again.',
      });
      const runs = [...held.values()];
      for (const run of runs) run.cancel(closedWith);
      await Promise.allSettled(runs.map((run) => run.ended));
    },
  };
}

async function endedAmong(read: Database['read'], runs: readonly HeldRun[]): Promise<Set<string>> {
  const rows = await read
    .selectFrom('runs')
    .select('id')
    .where((eb) => eb.or(runs.map(({ tenant, id }) => eb.and({ tenant, id }))))
    .where('state', '=', 'running')
    .execute();
  const running = new Set(rows.map((row) => row.id));
  return new Set(runs.map((run) => run.id).filter((id) => !running.has(id)));
}
