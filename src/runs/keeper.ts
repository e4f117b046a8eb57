import type { Progress } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Database } from '../store/database.ts';
import { endRun, renewLease, retentionMs } from './table.ts';

/** How long a process promises to look after its runs, and how often it renews that and looks whether one was cancelled. */
export const leaseMs = 30_000;
const renewMs = 10_000;
const lookMs = 1_000;

/** A kept run under way in this process. */
export interface HeldRun {
  tenant: string;
  id: string;
  progress?: Progress | undefined;
  cancel(error: WeaverError): void;
}

/** Looks after the kept runs of this process: renews their leases, and stops those that somebody cancelled elsewhere. */
export interface RunKeeper {
  hold(run: HeldRun): void;
  release(id: string): void;
  /** Cancels what is still under way, and records it. */
  close(): Promise<void>;
}

export function createRunKeeper(
  { read, write }: Pick<Database, 'read' | 'write'>,
  log: Log,
  every = lookMs,
): RunKeeper {
  const held = new Map<string, HeldRun>();
  let timer: NodeJS.Timeout | undefined;
  let renewAt = 0;

  const look = async (): Promise<void> => {
    const runs = [...held.values()];
    const mustRenew = Date.now() >= renewAt;
    const ended = mustRenew
      ? await write((trx) => renewLease(trx, runs, Date.now() + leaseMs))
      : await endedAmong(read, runs);
    if (mustRenew) renewAt = Date.now() + renewMs;
    for (const id of ended) held.get(id)?.cancel(new WeaverError('cancelled', 'The run was cancelled.'));
  };
  const schedule = (): void => {
    if (timer || held.size === 0) return;
    timer = setTimeout(() => {
      look()
        .catch((error: unknown) => log.warn({ error }, 'kept runs could not be looked after'))
        .finally(() => {
          timer = undefined;
          schedule();
        });
    }, every).unref();
  };

  return {
    hold(run) {
      if (held.size === 0) renewAt = Date.now() + renewMs;
      held.set(run.id, run);
      schedule();
    },
    release: (id) => void held.delete(id),
    async close() {
      clearTimeout(timer);
      const error = new WeaverError('cancelled', 'ToolWeaver ended while the run was under way.', {
        hint: 'Call it again.',
      });
      const runs = [...held.values()];
      held.clear();
      for (const run of runs) run.cancel(error);
      const now = Date.now();
      const end = { state: 'cancelled' as const, outcome: error.toJSON(), expiresAt: now + retentionMs.kept };
      if (runs.length > 0) {
        await write(async (trx) => {
          for (const { tenant, id } of runs) await endRun(trx, tenant, id, end, now);
        });
      }
    },
  };
}

async function endedAmong(read: Database['read'], runs: readonly HeldRun[]): Promise<Set<string>> {
  const ids = runs.map((run) => run.id);
  if (ids.length === 0) return new Set();
  const rows = await read
    .selectFrom('runs')
    .select('id')
    .where('id', 'in', ids)
    .where('state', '=', 'running')
    .execute();
  const running = new Set(rows.map((row) => row.id));
  return new Set(ids.filter((id) => !running.has(id)));
}
