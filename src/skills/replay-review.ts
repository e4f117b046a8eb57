import { WeaverError } from '../errors.ts';
import type { ReplayCounts } from '../library/review-view.ts';
import { listVersions } from '../library/table.ts';
import { listRecordings, openRecording } from '../recordings/table.ts';
import type { Keyring } from '../secrets/keyring.ts';
import { type Replayed, type ReplayParts, replay } from './replay.ts';

const replayedAtMost = 20;
const replayMs = 10_000;

interface Proposed {
  tenant: string;
  name: string;
  version: string;
}

/**
 * Replays the latest recordings of the active version of an entry against another version of it, within ten seconds;
 * undefined when there are none.
 * @throws WeaverError `cancelled`.
 */
export async function replayFor(
  parts: ReplayParts & { ring: Keyring },
  { tenant, name, version }: Proposed,
  signal: AbortSignal,
): Promise<ReplayCounts | undefined> {
  const { read } = parts.database;
  const versions = await listVersions(read, tenant, name);
  const active = versions.find((one) => one.state === 'active' && one.version !== version);
  if (!active) return undefined;
  const of = { tool: name, version: active.version, seal: active.seal };
  const recordings = await listRecordings(read, tenant, { limit: replayedAtMost, of }, Date.now());
  if (recordings.length === 0) return undefined;
  const counts: ReplayCounts = { equal: 0, changed: 0, failed: 0, skipped: 0 };
  const time = AbortSignal.timeout(replayMs);
  for (const { run } of recordings) {
    const how = time.aborted
      ? 'skipped'
      : await tryOne(parts, { tenant, run, version }, AbortSignal.any([signal, time]));
    if (signal.aborted) throw new WeaverError('cancelled', 'The replay was stopped.');
    counts[how]++;
  }
  return counts;
}

async function tryOne(
  parts: ReplayParts & { ring: Keyring },
  { tenant, run, version }: { tenant: string; run: string; version: string },
  signal: AbortSignal,
): Promise<Replayed['result'] | 'skipped'> {
  try {
    const opened = await openRecording(parts.database, parts.ring, tenant, run, Date.now());
    return (await replay(parts, opened, { version, signal })).result;
  } catch (error) {
    // It does not open, was forgotten meanwhile, or the time is over: the review is shown without it.
    if (error instanceof WeaverError) return 'skipped';
    throw error;
  }
}
