import type { Log } from '../log.ts';

const flushAfterMs = 500;

interface BatchRules<T> {
  log: Log;
  /** So many are written at once, without waiting for more. */
  size: number;
  write(batch: readonly T[]): Promise<void>;
  /** What the log says when they cannot be kept, and when they can again. */
  says: { lost: string; kept: string };
}

/** Things to be written together, a moment after they came: whoever hands them in neither waits nor fails. */
export interface Batches<T> {
  /** How many wait to be written. */
  readonly waiting: number;
  add(item: T): void;
  /** Counts what is lost; the first of an outage is said, and when it is over. */
  lose(count: number, error: unknown): void;
  /** Writes what waits. */
  flush(): Promise<void>;
}

export function createBatches<T>({ log, size, write, says }: BatchRules<T>): Batches<T> {
  const waiting: T[] = [];
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> = Promise.resolve();
  let lost = 0;
  const lose = (count: number, error: unknown): void => {
    if (lost === 0) log.warn({ error }, says.lost);
    lost += count;
  };
  const writeOrLose = async (batch: readonly T[]): Promise<void> => {
    try {
      await write(batch);
      if (lost > 0) log.warn({ lost }, says.kept);
      lost = 0;
    } catch (error) {
      lose(batch.length, error);
    }
  };
  const flush = (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    const batch = waiting.splice(0);
    if (batch.length > 0) writing = writing.then(() => writeOrLose(batch));
    return writing;
  };
  return {
    get waiting() {
      return waiting.length;
    },
    add(item) {
      waiting.push(item);
      if (waiting.length >= size) void flush();
      else timer ??= setTimeout(() => void flush(), flushAfterMs).unref();
    },
    lose,
    flush,
  };
}
