import { type ApprovalPolicy, reasonToReview } from '../approval/policy.ts';
import { findOpenReview, findRejection, openReview, voidReviews } from '../approval/reviews.ts';
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
import type { ExampleResult, Manifest } from './kind.ts';
import { sealOf } from './seal.ts';
import { insertEntry, insertVersion, listVersions, type SealedVersion, setState, type Version } from './table.ts';

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
  await refuseOutdated(trx, parts, request, manifest);
  const seal = sealOf(manifest);
  const versions = await listVersions(trx, tenant, name);
  const same = versions.find((version) => version.seal === seal && isGood(version));
  if (same) return unchanged(trx, tenant, same, checked);
  await refuseRejected(trx, tenant, name, seal);
  const [latest] = versions;
  const next = nextVersion(manifest, latest, request.version);
  const version: SealedVersion = {
    name,
    version: next.version,
    ordinal: (latest?.ordinal ?? 0) + 1,
    state: 'pending',
    seal,
    manifest,
    risk: checked.risk,
    createdAt: Date.now(),
    createdBy: principal.id,
  };
  await replacePending(trx, tenant, versions, version);
  await insert(trx, tenant, version, Object.values(texts));
  const review = await settle(trx, parts, principal, version, checked);
  return { ...answer(version, checked, review), changed: true, bump: next.bump, reasons: next.reasons };
}

// One that is not what was sealed any more is saved anew.
const isGood = ({ state, manifest }: Version): boolean =>
  manifest !== undefined && (state === 'active' || state === 'pending');

// What held at the check may hold no more: the caller may be gone, and another process may have saved.
async function refuseOutdated(
  trx: Db,
  { catalog }: SaveParts,
  { name, kind, principal, signal }: SaveRequest,
  { lock }: Manifest,
): Promise<void> {
  if (signal.aborted) throw new WeaverError('cancelled', `${name} was not saved: its caller cancelled.`);
  await refuseTakenName(trx, catalog, principal.tenant, name, kind);
  const ring = await findRing(trx, principal.tenant, name, lock);
  if (ring) throw checkFailed(name, [ringFinding(ring)]);
}

async function insert(trx: Db, tenant: string, version: SealedVersion, texts: readonly string[]): Promise<void> {
  const { name, manifest, ordinal, createdAt, createdBy } = version;
  for (const text of texts) await putBlob(trx, tenant, text);
  if (ordinal === 1) {
    await insertEntry(trx, tenant, { name, nameKey: nameKey(name), kind: manifest.kind, createdAt, createdBy });
  }
  await insertVersion(trx, tenant, version);
}

function answer({ name, version, seal, risk }: Version, { findings, examples }: Checked, review: Saved['review']) {
  const state = review ? ('pending' as const) : ('active' as const);
  return { name, version, state, seal, risk, ...(review && { review }), findings, examples };
}

/** Activates the version, or opens a review where policy wants one. */
async function settle(
  trx: Db,
  { approval }: SaveParts,
  principal: Principal,
  { name, version, seal, risk, createdAt }: Version,
  { examples, findings }: Checked,
): Promise<{ id: string; why: string } | undefined> {
  const why = reasonToReview(approval, risk, examples.filter((example) => example.passed).length, findings);
  if (why === undefined) {
    await activate(trx, principal.tenant, name, version);
    return undefined;
  }
  const subject = { kind: 'version', name, version, seal };
  return { id: await openReview(trx, principal, subject, { why, findings, examples }, createdAt), why };
}

// One version of an entry waits at a time: a newer draft takes the place of the one before it.
async function replacePending(trx: Db, tenant: string, versions: readonly Version[], by: Version): Promise<void> {
  const pending = versions.filter(({ state }) => state === 'pending');
  if (pending.length === 0) return;
  for (const { name, version } of pending) {
    await setState(trx, tenant, name, version, 'rejected', `replaced by ${by.version} before it was reviewed`);
  }
  await voidReviews(trx, tenant, 'version', by.name, by.createdAt);
}

async function unchanged(trx: Db, tenant: string, same: Version, checked: Checked): Promise<Saved> {
  const { name, version } = same;
  const open = await findOpenReview(trx, tenant, { kind: 'version', name, version });
  const review = open && { id: open.id, why: String(open.evidence.why) };
  return { ...answer(same, checked, review), changed: false };
}

async function refuseRejected(trx: Db, tenant: string, name: string, seal: string): Promise<void> {
  const rejection = await findRejection(trx, tenant, { kind: 'version', name, seal });
  if (!rejection) return;
  const { review, principal, comment } = rejection;
  throw new WeaverError(
    'conflict',
    `Exactly this content of ${name} was rejected in review ${review} by ${principal}.`,
    {
      hint: comment === undefined ? 'Change it before you save it again.' : `The reason given: ${comment}`,
    },
  );
}
