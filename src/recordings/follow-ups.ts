import type { Database } from '../store/database.ts';
import type { Handler } from '../store/dispatcher.ts';
import { forgetExpired, forgetRecordings } from './table.ts';

const forgetAtMostEveryMs = 60_000;

/** What follows a recording: it is forgotten when it has expired. */
export function recordingFollowUps({ write }: Pick<Database, 'write'>): Readonly<Record<string, Handler>> {
  return {
    [forgetRecordings]: async ({ tenant }) => {
      const now = Date.now();
      const next = await write((trx) => forgetExpired(trx, tenant, now));
      // All that expires within the minute goes at once.
      return next === undefined ? undefined : Math.max(next + 1, now + forgetAtMostEveryMs);
    },
  };
}
