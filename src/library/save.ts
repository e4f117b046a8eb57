import { type ApprovalPolicy, reasonToReview } from '../approval/policy.ts';
import { openReview, voidReviews } from '../approval/reviews.ts';
import { nameKey } from '../catalog/definition.ts';
import type { Finding, Principal, Risk } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import { putBlob } from '../store/blobs.ts';
import type { Db } from '../store/tables.ts';
import { type Bump, nextVersion } from './bump.ts';
import {
  type Checked,
  type CheckParts,
  checkDraft,
  checkFailed,
  type DraftRequest,
  refuseTakenName,
  ringFinding,
} from './check.ts';
import { activate } from './decide.ts';
import { findRing } from './dependencies.ts';
import type { ExampleResult } from './kind.ts';
import { sealOf } from './seal.ts';
import { insertEntry, insertVersion, listVersions, setState, type Version } from './table.ts';

export interface SaveRequest extends DraftRequest {
  /** The version that the author wants; the least allowed one when absent. */
  version?: string | undefined;
}

export interface SaveParts extends CheckParts {
  approval: ApprovalPolicy;
}

export interface Saved {
  name: string;
  version: string;
  state: 'active' | 'pending';
  /** False when exactly this was saved before. */
  changed: boolean;
  bump?: Bump;
  reasons?: string[];
  seal: string;
  risk: Risk;
  /** Set when a person must decide first. */
  review?: { id: string; why: string };
  findings: Finding[];
  examples: ExampleResult[];
}

/**
 * Keeps a draft as the next version of its entry: active at once where policy allows it, else waiting for a review.
 * All of it is kept or nothing; the same draft again changes nothing.
 * @throws WeaverError `check_failed` with all findings, `name_taken`, `conflict`, `bad_input` (version).
 */
export async function saveDraft(parts: SaveParts, request: SaveRequest): Promise<Saved> {
  const checked = await checkDraft(parts, request);
  const { sound } = checked;
  if (!sound) throw checkFailed(request.name, checked.findings);
  return parts.database.write((trx) => keep(trx, parts, request, checked, sound));
}

async function keep(
  trx: Db,
  parts: SaveParts,
  request: SaveRequest,
  checked: Checked,
  { manifest, texts }: NonNullable<Checked['sound']>,
): Promise<Saved> {
  const { name, principal } = request;
  const { tenant } = principal;
  const seal = sealOf(manifest);
  // Looked at again: another process may have saved since the check.
  await refuseTakenName(trx, parts.catalog, tenant, name, request.kind);
  const ring = await findRing(trx, tenant, name, manifest.lock);
  if (ring) throw checkFailed(name, [ringFinding(ring)]);
  const versions = await listVersions(trx, tenant, name);
  const same = versions.find((version) => version.seal === seal && ['active', 'pending'].includes(version.state));
  if (same) return unchanged(trx, tenant, same, checked);
  await refuseRejected(trx, tenant, name, seal);
  const [latest] = versions;
  const next = nextVersion(manifest, latest, request.version);
  const now = Date.now();
  for (const text of Object.values(texts)) await putBlob(trx, tenant, text);
  if (!latest) {
    const nameParts = { name, nameKey: nameKey(name), kind: request.kind };
    await insertEntry(trx, tenant, { ...nameParts, createdAt: now, createdBy: principal.id });
  }
  await replacePending(trx, tenant, versions, next.version, now);
  const version: Version = {
    name,
    version: next.version,
    ordinal: (latest?.ordinal ?? 0) + 1,
    state: 'pending',
    seal,
    manifest,
    risk: checked.risk,
    createdAt: now,
    createdBy: principal.id,
  };
  await insertVersion(trx, tenant, version);
  const review = await settle(trx, parts, principal, version, checked);
  return {
    name,
    version: next.version,
    state: review ? 'pending' : 'active',
    changed: true,
    bump: next.bump,
    reasons: next.reasons,
    seal,
    risk: checked.risk,
    ...(review && { review }),
    findings: checked.findings,
    examples: checked.examples,
  };
}

/** Activates the version, or opens a review where policy wants one. */
async function settle(
  trx: Db,
  { approval }: SaveParts,
  principal: Principal,
  { name, version, seal, risk, createdAt }: Version,
  { examples, findings }: Checked,
): Promise<{ id: string; why: string } | undefined> {
  const why = reasonToReview(approval, risk, examples.filter((example) => example.passed).length);
  if (why === undefined) {
    await activate(trx, principal.tenant, name, version);
    return undefined;
  }
  const subject = { kind: 'version', name, version, seal };
  return { id: await openReview(trx, principal, subject, { why, findings, examples }, createdAt), why };
}

// One version of an entry waits at a time: a newer draft takes the place of the one before it.
async function replacePending(
  trx: Db,
  tenant: string,
  versions: readonly Version[],
  by: string,
  now: number,
): Promise<void> {
  const pending = versions.filter((version) => version.state === 'pending');
  if (pending.length === 0) return;
  for (const { name, version } of pending) {
    await setState(trx, tenant, name, version, 'rejected', `replaced by ${by} before it was reviewed`);
  }
  await voidReviews(trx, tenant, 'version', pending[0]?.name ?? '', now);
}

async function unchanged(trx: Db, tenant: string, same: Version, checked: Checked): Promise<Saved> {
  const open = await trx
    .selectFrom('reviews')
    .select(['id', 'evidence'])
    .where('tenant', '=', tenant)
    .where('subject_kind', '=', 'version')
    .where('subject_name', '=', same.name)
    .where('subject_version', '=', same.version)
    .where('state', '=', 'open')
    .executeTakeFirst();
  return {
    name: same.name,
    version: same.version,
    state: same.state === 'active' ? 'active' : 'pending',
    changed: false,
    seal: same.seal,
    risk: same.risk,
    ...(open && { review: { id: open.id, why: String(JSON.parse(open.evidence).why) } }),
    findings: checked.findings,
    examples: checked.examples,
  };
}

async function refuseRejected(trx: Db, tenant: string, name: string, seal: string): Promise<void> {
  const row = await trx
    .selectFrom('decisions as d')
    .innerJoin('reviews as r', (join) => join.onRef('r.tenant', '=', 'd.tenant').onRef('r.id', '=', 'd.review_id'))
    .select(['r.id', 'd.comment', 'd.principal'])
    .where('r.tenant', '=', tenant)
    .where('r.subject_kind', '=', 'version')
    .where('r.subject_name', '=', name)
    .where('d.seal', '=', seal)
    .where('d.decision', '=', 'rejected')
    .executeTakeFirst();
  if (!row) return;
  throw new WeaverError(
    'conflict',
    `Exactly this content of ${name} was rejected in review ${row.id} by ${row.principal}.`,
    {
      hint: row.comment ? `The reason given: ${row.comment}` : 'Change it before you save it again.',
    },
  );
}
