import { randomUUID } from 'node:crypto';
import { createPrincipal } from '../access/principals.ts';
import type { WeaverError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { RunKeeper } from '../runs/keeper.ts';
import { type HeldLease, handBack, runsUnderWay, takeRun } from '../runs/leases.ts';
import { endRun, type RunKey, retentionMs } from '../runs/table.ts';
import type { Database } from '../store/database.ts';
import { createStillness } from '../store/stillness.ts';
import type { Call } from './call.ts';

interface TakeoverParts {
  database: Database;
  keeper: RunKeeper;
  call: Call;
  log: Log;
}

/** Goes on with runs whose process ended. */
export interface Takeover {
  /** Takes over what others have left by now, and begins to go on with it. */
  look(): Promise<void>;
  /** Settles when everything that was taken over has ended. */
  idle(): Promise<void>;
}

const atOnce = 4;

/**
 * Watches the leases of all runs under way, and takes over those that nobody moves on any more: what can be repeated is
 * run again as the same run, anything else ends as `unavailable`. Of several processes one is first.
 */
export function createTakeover({ database, keeper, call, log }: TakeoverParts): Takeover {
  const lost = createStillness(keeper.leaseMs);
  const going = new Set<Promise<void>>();

  const take = async (seen: HeldLease): Promise<void> => {
    const holder = randomUUID();
    const lease = { holder, leaseUntil: Date.now() + keeper.leaseMs };
    if (!(await database.write((trx) => takeRun(trx, seen, lease)))) return;
    log.warn({ run: seen.id, tool: seen.tool }, 'a run was left by the process that ran it; it is taken over');
    const { tenant, id } = seen;
    const mine = goOn({ tenant, id, holder })
      .catch((error: unknown) => log.warn({ error, run: id }, 'a run could not be taken over; it is tried again'))
      .finally(() => void going.delete(mine));
    going.add(mine);
  };
  const goOn = async (run: RunKey & { holder: string }): Promise<void> => {
    const { tenant, id, holder: lease } = run;
    const outcome = await call({
      ...{
        tool: '',
        input: {},
        via: 'system',
        principal: createPrincipal('service:worker', 'service', [], { tenant }),
      },
      signal: new AbortController().signal,
      resume: { runId: id, lease },
    });
    if (outcome.status !== 'failed') return;
    const now = Date.now();
    // Where the tool has run its end is kept by now, and neither of these changes it.
    if (isPassing(outcome.error)) return database.write((trx) => handBack(trx, [run]));
    const end = { state: 'failed', outcome: outcome.error.toJSON(), expiresAt: now + retentionMs.kept } as const;
    await database.write((trx) => endRun(trx, run, end, now, lease));
  };

  return {
    async look() {
      const others = (await runsUnderWay(database.read)).filter((run) => !keeper.isHeld(run));
      const still = lost.look(new Map(others.map((run) => [nameOf(run), `${run.holder} ${run.leaseUntil}`])));
      for (const run of others) {
        if (going.size >= atOnce) return;
        if (run.leaseUntil === 0 || still.has(nameOf(run))) await take(run);
      }
    },
    idle: async () => void (await Promise.all(going)),
  };
}

// It could not even be looked for: that is no end of the run.
const isPassing = ({ code }: WeaverError): boolean =>
  code === 'busy' || code === 'database_unavailable' || code === 'database_newer';

const nameOf = ({ tenant, id }: RunKey): string => `${tenant}/${id}`;
