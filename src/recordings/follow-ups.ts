import type { Database } from '../store/database.ts';
import type { Handler } from '../store/dispatcher.ts';
import { forgetting } from '../store/forgetting.ts';
import { forgetExpired, forgetRecordings } from './table.ts';

/** What follows a recording: it is forgotten when it has expired. */
export function recordingFollowUps(database: Pick<Database, 'write'>): Readonly<Record<string, Handler>> {
  return {
    [forgetRecordings]: forgetting(database, forgetExpired),
  };
}
