import { randomBytes } from 'node:crypto';
import * as z from 'zod';
import {
  type DecisionRequest,
  decide,
  personNeeded,
  type Review,
  listReviews as readReviews,
  refuseClosed,
} from '../approval/reviews.ts';
import { done, type Tool } from '../catalog/tool.ts';
import { type Answer, isReviewer, type Outcome, type Principal, type Question } from '../contracts.ts';
import { libraryReviewEnds } from '../library/decide.ts';
import { reviewText } from '../library/review-text.ts';
import { type ReviewView, viewReview } from '../library/review-view.ts';
import type { Database } from '../store/database.ts';
import { cleanText } from '../text/clean.ts';
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

const maxAsked = { lines: 200, characters: 20_000 };
const answerWithinMs = 3_600_000;
const decisions = ['approve', 'reject'] as const;

const decision = z.strictObject({
  id: z.string().min(1).max(40).describe('The review, as save_skill or list_reviews named it.'),
  decision: z
    .enum(decisions)
    .optional()
    .describe('Only from a person who may approve; leave it out to be shown the review.'),
  seal: z.string().length(64).optional().describe('The seal of what was shown and is decided on.'),
  comment: z.string().max(500).optional().describe('Why; kept with the decision.'),
});

/** `decide_review`: a person decides; an agent is told which person must do what, or has the host ask them. */
export function decideReview({
  database,
  elicitationApproves,
}: {
  database: Database;
  elicitationApproves: boolean;
}): Tool {
  const tool = defineBuiltin({
    name: 'decide_review',
    title: 'Ask for a decision on a review',
    description:
      'Only a person decides a review. Call this with the id alone: the host asks the person where it may, else you get the exact command to give them. It never approves anything by itself.',
    input: decision,
    needs: 'read',
    risk: 'writes',
    run: async () => undefined,
  });
  return {
    ...tool,
    run: async (raw, { request, runId }) => {
      const input = decision.parse(raw);
      const { principal, resume } = request;
      const view = await viewReview(database.read, principal.tenant, input.id);
      refuseClosed(view.review);
      const answer = resume?.answer;
      if (answer) return done(await settle(database, view, answer.by, fromAnswer(view, answer)));
      if (!isReviewer(principal))
        return elicitationApproves && !principal.isRemote
          ? askPerson(view, principal, runId)
          : refuseAgent(view, principal);
      if (input.decision === undefined)
        return done({ ...brief(view.review), seal: view.review.subject.seal, text: await reviewText(view) });
      return done(await settle(database, view, principal, { ...input, decision: input.decision, how: 'mcp' }));
    },
  };
}

interface Decided {
  decision: (typeof decisions)[number];
  seal?: string | undefined;
  comment?: string | undefined;
  how: DecisionRequest['how'];
}

async function settle(
  database: Database,
  { review }: ReviewView,
  by: Principal,
  { decision: wanted, seal, comment, how }: Decided,
) {
  const verdict = wanted === 'approve' ? 'approved' : 'rejected';
  const given = { id: review.id, verdict, seal: seal ?? '', comment, how } as const;
  return brief(await database.write((trx) => decide(trx, libraryReviewEnds, by, given, Date.now())));
}

// A review is about one content from its start: a newer draft has another review.
const fromAnswer = ({ review }: ReviewView, { value, how }: Answer): Decided => ({
  decision: value.decision === 'approve' ? 'approve' : 'reject',
  seal: review.subject.seal,
  ...(typeof value.comment === 'string' && value.comment !== '' && { comment: value.comment }),
  how: how === 'tool' || how === 'a2a' ? 'mcp' : how,
});

/** Has the host ask the person, where all of a harmless version can be shown; else says what the person can do. */
async function askPerson(view: ReviewView, principal: Principal, runId: string): Promise<Outcome> {
  const text = cleanText(await reviewText(view));
  const isShort = text.split('\n').length <= maxAsked.lines && text.length <= maxAsked.characters;
  if (view.risk !== 'none' || !isShort) return refuseAgent(view, principal);
  const question: Question = {
    id: `q_${randomBytes(9).toString('base64url')}`,
    message: `${text}\nApprove exactly this?`,
    form: {
      type: 'object',
      properties: {
        decision: { type: 'string', title: 'Decision', enum: [...decisions] },
        comment: { type: 'string', title: 'Comment', description: 'Why; kept with the decision.', maxLength: 500 },
      },
      required: ['decision'],
    },
    for: 'person',
    expiresAt: Date.now() + answerWithinMs,
  };
  return { status: 'asks', question, runId };
}

// The answer holds a command for the person to run: only the id of a review that there is may stand in it.
function refuseAgent({ review }: ReviewView, principal: Principal): never {
  throw personNeeded(review, principal);
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
