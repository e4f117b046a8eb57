import { getReview, type Review } from '../approval/reviews.ts';
import { getBlob } from '../store/blobs.ts';
import type { Db } from '../store/tables.ts';
import { compareReach, noReach, type ReachChange } from './reach.ts';
import { sealedManifest } from './seal.ts';
import { dependentsOf, getVersion, listVersions, type Version } from './table.ts';

/** What differs in one part of a version, as whole texts; equal parts are left out. */
export interface PartDiff {
  part: string;
  before: string;
  after: string;
}

/** How a version did with the latest recorded runs of the active one. */
export interface ReplayCounts {
  equal: number;
  changed: number;
  failed: number;
  /** Those that do not open, and those for which there was no time. */
  skipped: number;
}

/** All that a reviewer is shown. */
export interface ReviewView {
  review: Review;
  /** The version that runs now, if any. */
  against?: string;
  risk: string;
  /** What it may do beside computing, through what it calls too, and how that differs from the active version. */
  reach: ReachChange;
  parts: PartDiff[];
  /** Entries that use this one. */
  dependents: string[];
  /** Where runs are recorded. */
  replay?: ReplayCounts | undefined;
}

/**
 * A review with everything to decide on it: every part of the version beside the active one.
 * @throws WeaverError `not_found`, `seal_broken`.
 */
export async function viewReview(db: Db, tenant: string, id: string): Promise<ReviewView> {
  const review = await getReview(db, tenant, id);
  const { name, version } = review.subject;
  const proposed = await getVersion(db, tenant, name, version);
  const versions = await listVersions(db, tenant, name);
  const active = versions.find((one) => one.state === 'active' && one.version !== version);
  const before = active ? await partsOf(db, tenant, active) : {};
  const after = proposed ? await partsOf(db, tenant, proposed) : {};
  const parts = Object.keys(after)
    .map((part) => ({ part, before: before[part] ?? '', after: after[part] ?? '' }))
    .filter((diff) => diff.before !== diff.after);
  const users = await dependentsOf(db, tenant, name);
  return {
    review,
    ...(active && { against: active.version }),
    risk: proposed?.risk ?? 'unknown',
    reach: compareReach(grantedTo(active), grantedTo(proposed)),
    parts,
    dependents: [...new Set(users.map((user) => `${user.name}@${user.version}`))],
  };
}

const grantedTo = (version: Version | undefined) => {
  const manifest = version && sealedManifest(version);
  return { ...noReach, ...manifest?.reach, tools: manifest?.capabilities.tools ?? [] };
};

// Every field of the sealed manifest is shown: longer texts as they are, not by their hash.
async function partsOf(db: Db, tenant: string, version: Version): Promise<Record<string, string>> {
  const { source, compiled, examples, ...fields } = sealedManifest(version);
  const code = await getBlob(db, tenant, source);
  return {
    code,
    ...Object.fromEntries(Object.entries(fields).map(([part, value]) => [part, pretty(value)])),
    examples: pretty(JSON.parse(await getBlob(db, tenant, examples))),
    compiled: `sha256 ${compiled}`,
  };
}

const pretty = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value, null, 2));
