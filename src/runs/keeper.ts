import type { Progress } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Database } from '../store/database.ts';
import { handBack, renewLease } from './leases.ts';
import type { RunKey } from './table.ts';

/** How long a lease must stand still until another process takes a run over, how often it is renewed, and looked after. */
export interface RunTimes {
  leaseMs: number;
  renewMs: number;
  lookMs: number;
}

const usualTimes: RunTimes = { leaseMs: 30_000, renewMs: 10_000, lookMs: 1_000 };

/** A kept run under way in this process. */
export interface HeldRun extends RunKey {
  /** The lease under which it was begun: only that may write its end. */
  readonly holder: string;
  /** May be begun again by another process, which then is to be the only one. */
  readonly isRepeatable: boolean;
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
  isHeld(key: RunKey): boolean;
  /** Hands back what another process can begin again, cancels what else is under way, and waits until that is recorded. */
  close(): Promise<void>;
}

export function createRunKeeper(
  { read, write }: Pick<Database, 'read' | 'write'>,
  log: Log,
  { leaseMs, renewMs, lookMs }: RunTimes = usualTimes,
): RunKeeper {
  const held = new Map<string, HeldRun>();
  const shown = new WeakSet<Progress>();
  // By a clock that never jumps; when each run's lease was last known to move.
  const movedAt = new WeakMap<HeldRun, number>();
  let timer: NodeJS.Timeout | undefined;
  let isLooking = false;
  let renewAt = 0;
  let closedWith: WeaverError | undefined;

  const look = async (): Promise<void> => {
    const runs = [...held.values()];
    const at = performance.now();
    const news = runs.flatMap(({ progress }) => (progress && !shown.has(progress) ? [progress] : []));
    const mustWrite = news.length > 0 || at >= renewAt;
    const gone = mustWrite
      ? await write((trx) => renewLease(trx, runs, Date.now() + leaseMs))
      : await goneAmong(read, runs);
    if (mustWrite) renewAt = at + renewMs;
    for (const progress of news) shown.add(progress);
    for (const run of runs) {
      if (mustWrite && !gone.has(run.id)) movedAt.set(run, at);
      // One that has asked since, and goes on with its answer, is another by now.
      if (gone.has(run.id) && held.get(nameOf(run)) === run) run.cancel(stopped());
    }
  };
  // A process that could not say for so long that it lives is taken for dead: it must have stopped by then.
  const stopUnseen = (): void => {
    const since = performance.now() - leaseMs + 2 * lookMs;
    for (const run of held.values()) if (run.isRepeatable && (movedAt.get(run) ?? since) < since) run.cancel(unseen());
  };
  const tick = (): void => {
    stopUnseen();
    if (isLooking) return;
    isLooking = true;
    look()
      .catch((error: unknown) => log.warn({ error }, 'kept runs could not be looked after'))
      .finally(() => {
        isLooking = false;
      });
  };
  const schedule = (): void => {
    if (held.size > 0 && !closedWith) {
      timer ??= setInterval(tick, lookMs).unref();
      return;
    }
    clearInterval(timer);
    timer = undefined;
  };

  return {
    leaseMs,
    hold(run) {
      if (closedWith) return run.cancel(closedWith);
      if (held.size === 0) renewAt = performance.now() + renewMs;
      held.set(nameOf(run), run);
      movedAt.set(run, performance.now());
      schedule();
    },
    release(run) {
      if (held.get(nameOf(run)) === run) held.delete(nameOf(run));
      schedule();
    },
    isHeld: (key) => held.has(nameOf(key)),
    async close() {
      closedWith = new WeaverError('cancelled', 'ToolWeaver ended while the run was under way.', {
        hint: 'Call it again.',
      });
      schedule();
      const runs = [...held.values()];
      const repeatable = runs.filter((run) => run.isRepeatable);
      if (repeatable.length > 0) {
        await write((trx) => handBack(trx, repeatable)).catch((error: unknown) =>
          log.warn({ error }, 'runs could not be handed back; another process takes them when their leases are over'),
        );
      }
      for (const run of runs) run.cancel(closedWith);
      await Promise.allSettled(runs.map((run) => run.ended));
    },
  };
}

const stopped = () => new WeaverError('cancelled', 'The run was cancelled, or another process goes on with it.');

const unseen = () =>
  new WeaverError('unavailable', 'The database was away for so long that another process may go on with the run.', {
    hint: 'get_run shows where it stands.',
  });

const nameOf = ({ tenant, id }: RunKey): string => `${tenant}/${id}`;

async function goneAmong(read: Database['read'], runs: readonly HeldRun[]): Promise<Set<string>> {
  const rows = await read
    .selectFrom('runs')
    .select(['id', 'holder'])
    .where((eb) => eb.or(runs.map(({ tenant, id }) => eb.and({ tenant, id }))))
    .where('state', '=', 'running')
    .execute();
  const holders = new Map(rows.map((row) => [row.id, row.holder]));
  return new Set(runs.filter(({ id, holder }) => holders.get(id) !== holder).map(({ id }) => id));
}
