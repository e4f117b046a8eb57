import { findOpenReview, openReview } from '../approval/reviews.ts';
import { isReviewer, type Principal } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import type { Database } from '../store/database.ts';
import { checkRollback, rollBack } from './decide.ts';

export interface RollbackRequest {
  name: string;
  version: string;
  reason: string;
  principal: Principal;
}

export interface RollbackAnswer {
  name: string;
  version: string;
  state: 'active' | 'requested';
  review?: { id: string; why: string };
}

/**
 * Rolls back when a person asks, and opens a review for one when anybody else does, once for each version.
 * @throws WeaverError `not_found`, `not_approved`, `conflict`, `not_allowed` for who may neither approve nor save.
 */
export async function requestRollback(database: Database, request: RollbackRequest): Promise<RollbackAnswer> {
  const { name, version, reason, principal } = request;
  return database.write(async (trx) => {
    if (isReviewer(principal)) {
      await rollBack(trx, principal.tenant, name, version, reason);
      return { name, version, state: 'active' as const };
    }
    if (!principal.scopes.includes('save')) throw notAllowed(principal);
    const { seal } = await checkRollback(trx, principal.tenant, name, version);
    const why = 'only a person may roll back';
    const subject = { kind: 'rollback', name, version, seal };
    const open = await findOpenReview(trx, principal.tenant, subject);
    const id = open?.id ?? (await openReview(trx, principal, subject, { why, reason }, Date.now()));
    return { name, version, state: 'requested' as const, review: { id, why } };
  });
}

const notAllowed = ({ id }: Principal): WeaverError =>
  new WeaverError('not_allowed', `${id} may neither roll back nor ask for it.`, {
    hint: 'That needs the role author or reviewer.',
  });
