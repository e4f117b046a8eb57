import type { Log } from '../log.ts';
import type { Keyring } from '../secrets/keyring.ts';
import { createBatches } from '../store/batches.ts';
import type { Database } from '../store/database.ts';
import type { RecordedRun, Recording } from './recording.ts';
import { insertRecordings, type NewRecording } from './table.ts';

/** The most that a recording may hold, in bytes of what went in and out. */
export const maxRecordingBytes = 1_000_000;

const batchSize = 100;
const heldAtMostBytes = 16_000_000;
const dayMs = 86_400_000;

/**
 * Keeps recordings. `keep` and `refuse` return at once and never throw: a recording that cannot be kept costs a log line,
 * never a call. `close` writes what waits.
 */
export interface Recorder {
  /** `bytes` are those of what went in and out. */
  keep(of: RecordedRun, recording: Recording, bytes: number): void;
  /** Says, once for each tool, that a run of it was too large to be kept. */
  refuse(of: RecordedRun): void;
  flush(): Promise<void>;
  close(): Promise<void>;
}

interface RecorderParts {
  database: Pick<Database, 'write'>;
  ring: Keyring;
  log: Log;
  /** How many recordings a tenant has at most, and for how many days. */
  runs: number;
  days: number;
}

interface Waiting extends NewRecording {
  /** In bytes. */
  heldAs: number;
}

/** Keeps recordings in the database, encrypted, written in batches. */
export function createRecorder({ database, ring, log, runs, days }: RecorderParts): Recorder {
  // Of all that is not written yet.
  let heldBytes = 0;
  const refused = new Set<string>();
  const recordings = createBatches<Waiting>({
    log,
    size: batchSize,
    says: { lost: 'runs cannot be recorded; those until they can are lost', kept: 'runs are recorded again' },
    async write(batch) {
      try {
        await database.write(async (trx) => {
          // Read inside, where no rotation can come in between.
          const [key] = await ring.ensure();
          await insertRecordings(trx, key, batch, runs, Date.now());
        });
      } finally {
        for (const { heldAs } of batch) heldBytes -= heldAs;
      }
    },
  });
  return {
    keep(of, recording, bytes) {
      if (heldBytes + bytes > heldAtMostBytes) return recordings.lose(1, 'more than can be written');
      const at = Date.now();
      heldBytes += bytes;
      recordings.add({ of, recording, at, expiresAt: at + days * dayMs, heldAs: bytes });
    },
    refuse({ tenant, tool, run }) {
      const key = `${tenant}/${tool}`;
      if (refused.has(key)) return;
      refused.add(key);
      log.warn(
        { tenant, tool, run, maxBytes: maxRecordingBytes },
        'a run is too large to be recorded; more of this skill are not mentioned',
      );
    },
    flush: recordings.flush,
    close: recordings.flush,
  };
}
