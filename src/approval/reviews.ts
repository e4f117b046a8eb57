import { randomInt } from 'node:crypto';
import { isReviewer, type Principal } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import type { Db, Tables } from '../store/tables.ts';
import { shortText } from '../text/clean.ts';

export type ReviewState = 'open' | 'approved' | 'rejected' | 'voided';
export type Verdict = 'approved' | 'rejected';

/** What people decide about: of which kind, and exactly which content (seal). */
export interface Subject {
  kind: string;
  name: string;
  version: string;
  seal: string;
}

interface Decision {
  principal: string;
  decision: Verdict;
  comment?: string;
  how: string;
  at: number;
}

export interface Review {
  id: string;
  subject: Subject;
  state: ReviewState;
  /** What reviewers are shown beside the subject. */
  evidence: Record<string, unknown>;
  openedAt: number;
  openedBy: string;
  closedAt?: number;
  decisions: Decision[];
}

/** What the end of a review means for its kind of subject; runs inside the deciding transaction. */
export type ReviewEnds = Readonly<
  Record<string, (trx: Db, review: Review, verdict: Verdict, by: Principal) => Promise<void>>
>;

// Without vowels and look-alikes: an id is typed by a person, and should spell nothing.
const idLetters = 'bcdfghjkmnpqrstvwxyz23456789';

/** Opens a review and gives its id. */
export async function openReview(
  trx: Db,
  principal: Principal,
  subject: Subject,
  evidence: Record<string, unknown>,
  now: number,
): Promise<string> {
  const id = Array.from({ length: 8 }, () => idLetters[randomInt(idLetters.length)]).join('');
  await trx
    .insertInto('reviews')
    .values({
      tenant: principal.tenant,
      id,
      subject_kind: subject.kind,
      subject_name: subject.name,
      subject_version: subject.version,
      seal: subject.seal,
      state: 'open',
      evidence: JSON.stringify(evidence),
      opened_at: now,
      opened_by: principal.id,
      closed_at: null,
    })
    .execute();
  return id;
}

/** Reviews of the tenant, newest first; without a state, all of them. */
export async function listReviews(
  db: Db,
  tenant: string,
  state: ReviewState | undefined,
  limit: number,
): Promise<Review[]> {
  let query = db.selectFrom('reviews').selectAll().where('tenant', '=', tenant);
  if (state) query = query.where('state', '=', state);
  const rows = await query.orderBy('opened_at', 'desc').orderBy('id').limit(limit).execute();
  return Promise.all(rows.map(async (row) => toReview(row, await decisionsOf(db, tenant, row.id))));
}

/** @throws WeaverError `not_found`. */
export async function getReview(db: Db, tenant: string, id: string): Promise<Review> {
  const row = await db
    .selectFrom('reviews')
    .selectAll()
    .where('tenant', '=', tenant)
    .where('id', '=', id)
    .executeTakeFirst();
  if (row) return toReview(row, await decisionsOf(db, tenant, id));
  throw new WeaverError('not_found', `There is no review "${shortText(id)}".`, {
    hint: 'toolweaver review list shows them.',
  });
}

/** The open review of exactly this version of a subject, if there is one. */
export async function findOpenReview(
  db: Db,
  tenant: string,
  { kind, name, version }: Omit<Subject, 'seal'>,
): Promise<Review | undefined> {
  const row = await db
    .selectFrom('reviews')
    .selectAll()
    .where('tenant', '=', tenant)
    .where('subject_kind', '=', kind)
    .where('subject_name', '=', name)
    .where('subject_version', '=', version)
    .where('state', '=', 'open')
    .executeTakeFirst();
  return row && toReview(row, []);
}

/** Who rejected exactly this content of a subject, in which review and why; undefined when nobody did. */
export async function findRejection(
  db: Db,
  tenant: string,
  { kind, name, seal }: Omit<Subject, 'version'>,
): Promise<{ review: string; principal: string; comment?: string } | undefined> {
  const row = await db
    .selectFrom('decisions as d')
    .innerJoin('reviews as r', (join) => join.onRef('r.tenant', '=', 'd.tenant').onRef('r.id', '=', 'd.review_id'))
    .select(['r.id', 'd.comment', 'd.principal'])
    .where('r.tenant', '=', tenant)
    .where('r.subject_kind', '=', kind)
    .where('r.subject_name', '=', name)
    .where('d.seal', '=', seal)
    .where('d.decision', '=', 'rejected')
    .executeTakeFirst();
  return row && { review: row.id, principal: row.principal, ...(row.comment !== null && { comment: row.comment }) };
}

/** Closes open reviews of a subject that nobody needs to decide any more. */
export async function voidReviews(trx: Db, tenant: string, kind: string, name: string, now: number): Promise<void> {
  await trx
    .updateTable('reviews')
    .set({ state: 'voided', closed_at: now })
    .where('tenant', '=', tenant)
    .where('subject_kind', '=', kind)
    .where('subject_name', '=', name)
    .where('state', '=', 'open')
    .execute();
}

export interface DecisionRequest {
  id: string;
  verdict: Verdict;
  /** The seal that the reviewer saw. */
  seal: string;
  comment?: string | undefined;
  /** `elicitation`: through the host's own dialog, where the settings let that count; nobody has verified who answered. */
  how: 'cli' | 'web' | 'mcp' | 'elicitation';
}

/**
 * Records a person's decision and carries out what it means, in the caller's transaction.
 * @throws WeaverError `needs_person`, `not_found`, `conflict` (closed already, or about another seal).
 */
export async function decide(
  trx: Db,
  ends: ReviewEnds,
  principal: Principal,
  request: DecisionRequest,
  now: number,
): Promise<Review> {
  const review = await getReview(trx, principal.tenant, request.id);
  if (!isReviewer(principal) && request.how !== 'elicitation') throw personNeeded(review, principal);
  refuseClosed(review);
  refuseOther(review, request.seal);
  await close(trx, review, principal, request, now);
  const closed = await getReview(trx, principal.tenant, review.id);
  const end = ends[review.subject.kind];
  if (!end)
    throw new WeaverError('not_supported', `Nobody here knows what a review of a ${review.subject.kind} means.`);
  await end(trx, closed, request.verdict, principal);
  return closed;
}

async function close(
  trx: Db,
  review: Review,
  { tenant, id: principal }: Principal,
  { verdict, comment, how }: DecisionRequest,
  now: number,
): Promise<void> {
  // Alone, a person may decide on what they saved themselves, and the record says so.
  const said = how === 'elicitation' ? 'elicitation, unverified' : how;
  const noted = review.openedBy === principal ? `${said}, own version` : said;
  await trx
    .insertInto('decisions')
    .values({
      tenant,
      review_id: review.id,
      principal,
      decision: verdict,
      seal: review.subject.seal,
      comment: comment ?? null,
      how: noted,
      at: now,
    })
    .execute();
  await trx
    .updateTable('reviews')
    .set({ state: verdict, closed_at: now })
    .where('tenant', '=', tenant)
    .where('id', '=', review.id)
    .execute();
}

/** The answer to an agent, or a person who is no reviewer, that tries to decide. */
export const personNeeded = ({ id }: Review, principal: Principal): WeaverError =>
  new WeaverError('needs_person', `Review ${id} waits for a person who may approve; ${principal.id} may not.`, {
    hint: `Ask the person to run in a terminal: toolweaver review show ${id}, then toolweaver review approve ${id}.`,
    details: { review: id },
  });

/** @throws WeaverError `conflict` when a review has been decided or voided. */
export function refuseClosed({ id, state }: Review): void {
  if (state === 'open') return;
  throw new WeaverError('conflict', `Review ${id} is closed already: ${state}.`, {
    hint: 'toolweaver review show prints who decided.',
  });
}

function refuseOther(review: Review, seal: string): void {
  if (review.subject.seal === seal) return;
  throw new WeaverError('conflict', `Review ${review.id} is about other content than the one decided on.`, {
    hint: 'Show the review again and decide on what it shows now.',
  });
}

async function decisionsOf(db: Db, tenant: string, id: string): Promise<Decision[]> {
  const rows = await db
    .selectFrom('decisions')
    .selectAll()
    .where('tenant', '=', tenant)
    .where('review_id', '=', id)
    .orderBy('at')
    .execute();
  return rows.map((row) => ({
    principal: row.principal,
    decision: row.decision as Verdict,
    ...(row.comment !== null && { comment: row.comment }),
    how: row.how,
    at: row.at,
  }));
}

const toReview = (row: Tables['reviews'], decisions: Decision[]): Review => ({
  id: row.id,
  subject: { kind: row.subject_kind, name: row.subject_name, version: row.subject_version, seal: row.seal },
  state: row.state as ReviewState,
  evidence: JSON.parse(row.evidence),
  openedAt: row.opened_at,
  openedBy: row.opened_by,
  ...(row.closed_at !== null && { closedAt: row.closed_at }),
  decisions,
});
