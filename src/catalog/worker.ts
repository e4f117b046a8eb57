import { localTenant } from '../access/principals.ts';
import { toWeaverError, type WeaverError } from '../errors.ts';
import { type Log, sayOnce } from '../log.ts';
import type { Database } from '../store/database.ts';
import type { Dispatcher } from '../store/dispatcher.ts';
import type { Takeover } from './takeover.ts';

/** Does what no request asks for: what is to follow a commit, and what processes that ended have left. */
export interface Worker {
  start(): void;
  /** Begins nothing more; what is under way has so long to end. */
  stop(graceMs: number): Promise<void>;
  /** Resolves when a newer ToolWeaver has migrated the database: the work is that one's then. */
  readonly outdated: Promise<WeaverError>;
}

interface WorkerParts {
  database: Pick<Database, 'generation'>;
  dispatcher: Dispatcher;
  takeover: Takeover;
  log: Log;
}

/** How often the outbox is looked into, and the leases of runs. */
export interface WorkerTimes {
  outboxMs: number;
  leasesMs: number;
}

const usualTimes: WorkerTimes = { outboxMs: 1_000, leasesMs: 3_000 };

export function createWorker(
  { database, dispatcher, takeover, log }: WorkerParts,
  { outboxMs, leasesMs }: WorkerTimes = usualTimes,
): Worker {
  const stopping = new AbortController();
  const timers: NodeJS.Timeout[] = [];
  let [say, isStarted]: [(error: WeaverError) => void, boolean] = [() => {}, false];
  const outdated = new Promise<WeaverError>((resolve) => {
    say = resolve;
  });
  const halt = (): void => {
    stopping.abort();
    for (const timer of timers) clearInterval(timer);
  };

  /** Does it again and again, once at a time; says once that it fails, and once that it does not any more. */
  const repeat = (everyMs: number, what: string, work: () => Promise<unknown>): (() => Promise<void>) => {
    let underWay: Promise<void> | undefined;
    const trouble = sayOnce({
      begins: (error) => log.warn({ error }, `${what}: it fails, and is tried again`),
      ends: () => log.warn({}, `${what}: it works again`),
    });
    const once = async (): Promise<void> => {
      try {
        // A database that is not this version's any more says so here.
        database.generation(localTenant);
        await work();
        trouble.ends();
      } catch (thrown) {
        const error = toWeaverError(thrown);
        if (error.code === 'database_newer') {
          halt();
          return say(error);
        }
        trouble.begins(error);
      }
    };
    const tick = (): void => {
      if (stopping.signal.aborted) return;
      underWay ??= once().finally(() => {
        underWay = undefined;
      });
    };
    timers.push(setInterval(tick, everyMs).unref());
    tick();
    return async () => underWay;
  };

  let ends: (() => Promise<void>)[] = [];
  return {
    outdated,
    start() {
      if (isStarted || stopping.signal.aborted) return;
      isStarted = true;
      ends = [
        repeat(outboxMs, 'the outbox', () => dispatcher.look(stopping.signal)),
        repeat(leasesMs, 'the leases of runs', () => takeover.look()),
      ];
    },
    async stop(graceMs) {
      halt();
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, graceMs);
      });
      await Promise.race([late, Promise.all([...ends.map((end) => end()), takeover.idle()])]);
      clearTimeout(timer);
    },
  };
}
