import { z } from 'zod';
import { getReview, personNeeded, type Review, listReviews as readReviews, refuseClosed } from '../approval/reviews.ts';
import type { Tool } from '../catalog/tool.ts';
import type { Database } from '../store/database.ts';
import { defineBuiltin } from './builtin.ts';

/** `list_reviews`: what waits for a person, and what was decided. */
export function listReviews(database: Database): Tool {
  return defineBuiltin({
    name: 'list_reviews',
    title: 'List reviews',
    description: 'Reviews of saved versions: what waits for a person and why, and what was decided.',
    input: z.strictObject({
      state: z.enum(['open', 'approved', 'rejected', 'voided', 'all']).default('open').describe('Which reviews.'),
      limit: z.int().min(1).max(100).default(20),
    }),
    needs: 'read',
    risk: 'reads',
    run: async ({ state, limit }, { request }) => {
      const wanted = state === 'all' ? undefined : state;
      const reviews = await readReviews(database.read, request.principal.tenant, wanted, limit);
      return { reviews: reviews.map(brief) };
    },
  });
}

/** `decide_review`: tells an agent which person must do what. */
export function decideReview(database: Database): Tool {
  return defineBuiltin({
    name: 'decide_review',
    title: 'Ask for a decision on a review',
    description:
      'Only a person decides a review, in a terminal. Call this to get the exact command to give to the person; it never approves anything itself.',
    input: z.strictObject({
      id: z.string().min(1).max(40).describe('The review, as save_skill or list_reviews named it.'),
    }),
    needs: 'read',
    risk: 'reads',
    run: async ({ id }, { request: { principal } }) => {
      // The answer holds a command for the person to run: only the id of a review that there is may stand in it.
      const review = await getReview(database.read, principal.tenant, id);
      refuseClosed(review);
      throw personNeeded(review, principal);
    },
  });
}

/** A review as lists show it. */
export const brief = ({ id, subject, state, evidence, openedAt, openedBy, decisions }: Review) => ({
  id,
  subject: subject.kind,
  name: subject.name,
  version: subject.version,
  state,
  ...(typeof evidence.why === 'string' && { why: evidence.why }),
  opened_at: new Date(openedAt).toISOString(),
  opened_by: openedBy,
  ...(decisions.length > 0 && { decisions }),
});
