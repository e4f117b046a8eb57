import { type Review, type ReviewEnds, type Verdict, voidReviews } from '../approval/reviews.ts';
import type { Principal } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import type { Db } from '../store/tables.ts';
import { isLockRunnable } from './dependencies.ts';
import { sealedManifest } from './seal.ts';
import { getVersion, listVersions, pointTo, runnableStates, setState, type Version } from './table.ts';

/** What the end of a review means for a version of the library, and for a request to roll back. */
export const libraryReviewEnds: ReviewEnds = Object.freeze({ version: endVersionReview, rollback: endRollbackReview });

async function endVersionReview(trx: Db, review: Review, verdict: Verdict, by: Principal): Promise<void> {
  const { name, version, seal } = review.subject;
  const stored = await getVersion(trx, by.tenant, name, version);
  if (stored?.state !== 'pending' || stored.seal !== seal) {
    throw new WeaverError('conflict', `${name} ${version} is not what this review is about any more.`, {
      hint: 'toolweaver versions shows its state.',
    });
  }
  const comment = review.decisions.at(-1)?.comment;
  if (verdict === 'rejected') return setState(trx, by.tenant, name, version, 'rejected', comment);
  if (!(await isLockRunnable(trx, by.tenant, sealedManifest(stored).lock))) {
    throw new WeaverError('conflict', `${name} ${version} depends on a version that may not run any more.`, {
      hint: 'Reject it, and have it saved again on versions that may run.',
    });
  }
  return activate(trx, by.tenant, name, version, comment);
}

async function endRollbackReview(trx: Db, review: Review, verdict: Verdict, by: Principal): Promise<void> {
  if (verdict === 'rejected') return;
  await rollBack(trx, by.tenant, review.subject.name, review.subject.version, String(review.evidence.reason ?? ''));
}

/** Makes a version the one that runs by name; the one before stays callable by its number. */
export async function activate(trx: Db, tenant: string, name: string, version: string, reason?: string): Promise<void> {
  for (const other of await listVersions(trx, tenant, name)) {
    if (other.state === 'active') await setState(trx, tenant, name, other.version, 'superseded');
  }
  await setState(trx, tenant, name, version, 'active', reason);
  await pointTo(trx, tenant, name, version);
}

/**
 * Moves the pointer back (or forward) to a version that has run before, and says why. Nothing is deleted.
 * @throws WeaverError `not_found`, `not_approved`, `conflict` (it is the active one), `seal_broken`.
 */
export async function rollBack(trx: Db, tenant: string, name: string, version: string, reason: string): Promise<void> {
  await checkRollback(trx, tenant, name, version);
  await activate(trx, tenant, name, version, `rolled back: ${reason}`);
  await voidReviews(trx, tenant, 'rollback', name, Date.now());
}

/** The version to go back to, if one can. Throws as `rollBack` does. */
export async function checkRollback(trx: Db, tenant: string, name: string, version: string): Promise<Version> {
  const target = await getVersion(trx, tenant, name, version);
  if (!target) {
    throw new WeaverError('not_found', `${name} has no version ${version}.`, { hint: 'list_versions shows them.' });
  }
  if (target.state === 'active') {
    throw new WeaverError('conflict', `${name} ${version} is the active version already.`, {
      hint: 'Nothing is to be done.',
    });
  }
  sealedManifest(target);
  if (runnableStates.includes(target.state)) return target;
  throw new WeaverError('not_approved', `${name} ${version} is ${target.state}: nobody has let it run.`, {
    hint: 'Choose a version that has been active before.',
  });
}
