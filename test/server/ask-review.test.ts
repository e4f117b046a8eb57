import type { Client } from '@modelcontextprotocol/client';
import { describe, expect, it } from 'vitest';
import { createPrincipal } from '../../src/access/principals.ts';
import { agent, draft, person, type TestApp, testApp } from '../helpers/app.ts';
import { connectInMemory, connectOverHttp, type Reply } from '../helpers/clients.ts';
import { bare, skill } from '../helpers/drafts.ts';
import { type Era, textOf } from '../helpers/process.ts';

type Result = Awaited<ReturnType<Client['callTool']>>;

const newest: readonly Era[] = ['2025-11-25', '2026-07-28'];
const counts = { settings: { elicitationApproves: 'true' } } as const;
const approve: Reply = { action: 'accept', content: { decision: 'approve' } };
const ada = createPrincipal('agent:ada', 'agent', ['author']);

interface Review {
  id: string;
  state: string;
  decisions?: { principal: string; decision: string; comment?: string; how: string }[];
}

/** Saves a draft without an example, which waits for a person, and gives its review. */
async function saved(app: TestApp, fields: Record<string, unknown> = {}): Promise<string> {
  await app.use('save_skill', bare(fields));
  const { reviews } = (await app.use('list_reviews')) as { reviews: Review[] };
  return reviews[0]?.id ?? '';
}

async function reviewOf(app: TestApp, id: string): Promise<Review | undefined> {
  const { reviews } = (await app.use('list_reviews', { state: 'all' })) as { reviews: Review[] };
  return reviews.find((review) => review.id === id);
}

async function connect(app: TestApp, reply?: (params: Record<string, unknown>) => Reply, era: Era = '2025-11-25') {
  const asked: string[] = [];
  const client = await connectInMemory(app, ada, {
    era,
    ...(reply && {
      reply: (params: Record<string, unknown>) => {
        asked.push(String(params.message));
        return reply(params);
      },
    }),
  });
  const decide = (id: string, more: Record<string, unknown> = {}): Promise<Result> =>
    client.callTool({ name: 'decide_review', arguments: { id, ...more } });
  return { decide, asked };
}

describe.each(newest)('decide_review of an agent whose host asks, at %s, where that counts', (era) => {
  it('shows the person the whole of a harmless version, and approves it on their word, as unverified', async () => {
    const app = await testApp(counts);
    const id = await saved(app);
    const { decide, asked } = await connect(app, () => approve, era);
    const result = await decide(id);
    expect(result.structuredContent).toMatchObject({ id, state: 'approved', name: 'double' });
    expect(asked).toHaveLength(1);
    for (const part of [id, 'double', String(draft().code), 'risk    none', 'seal    '])
      expect(asked[0]).toContain(part);
    expect(await reviewOf(app, id)).toMatchObject({
      state: 'approved',
      decisions: [{ principal: 'agent:ada', decision: 'approved', how: 'elicitation, unverified' }],
    });
    expect(await app.use('double', { x: 4 })).toEqual({ y: 8 });
  });

  it('rejects it with what the person says', async () => {
    const app = await testApp(counts);
    const id = await saved(app);
    const reply: Reply = { action: 'accept', content: { decision: 'reject', comment: 'too simple' } };
    const { decide } = await connect(app, () => reply, era);
    expect((await decide(id)).structuredContent).toMatchObject({ state: 'rejected' });
    expect(await reviewOf(app, id)).toMatchObject({
      decisions: [{ decision: 'rejected', comment: 'too simple', how: 'elicitation, unverified' }],
    });
    expect((await app.outcome('double', { x: 1 })).status).toBe('failed');
  });

  it.each(['decline', 'cancel'] as const)('decides nothing when the person answers with %s', async (action) => {
    const app = await testApp(counts);
    const id = await saved(app);
    const { decide, asked } = await connect(app, () => ({ action }), era);
    const result = await decide(id);
    expect(result.isError).toBe(true);
    expect(textOf(result)).toContain('[cancelled]');
    expect(asked).toHaveLength(1);
    expect(await reviewOf(app, id)).toMatchObject({ state: 'open' });
  });

  it.each([
    ['no decision', {}],
    ['another decision', { decision: 'perhaps' }],
    ['a comment that is too long', { decision: 'approve', comment: 'x'.repeat(501) }],
  ])('decides nothing by %s', async (_, content) => {
    const app = await testApp(counts);
    const id = await saved(app);
    const { decide } = await connect(app, () => ({ action: 'accept', content }), era);
    expect(textOf(await decide(id))).toContain('[bad_input]');
    expect(await reviewOf(app, id)).toMatchObject({ state: 'open' });
  });

  it('decides nothing on a review that was voided while the person read it', async () => {
    const app = await testApp(counts);
    const id = await saved(app);
    const code = 'export default async function run(input) { return { y: input.x + input.x }; }';
    let second = '';
    const { decide } = await connect(app, () => approve, era);
    const { decide: slowly } = await connect(
      app,
      () => {
        throw new Error('not answered');
      },
      '2025-11-25',
    );
    const asked = (await slowly(id)).structuredContent as { run_id: string; question: { id: string } };
    second = await saved(app, { code });
    expect(second).not.toBe(id);
    expect(await reviewOf(app, id)).toMatchObject({ state: 'voided' });
    const input = { run_id: asked.run_id, question_id: asked.question.id, answer: { decision: 'approve' } };
    const late = await app.outcome('answer_run', input, { principal: person });
    expect(late).toMatchObject({ status: 'failed', error: { code: 'conflict' } });
    expect((await app.outcome('double', { x: 1 })).status).toBe('failed');
    expect((await decide(second)).structuredContent).toMatchObject({ state: 'approved' });
  });
});

describe('decide_review asks nobody, and names the command for a person,', () => {
  it('where the settings do not let a dialog count', async () => {
    const app = await testApp();
    const id = await saved(app);
    const { decide, asked } = await connect(app, () => approve);
    expect(textOf(await decide(id))).toMatch(new RegExp(`\\[needs_person\\].*toolweaver review approve ${id}`, 's'));
    expect(asked).toEqual([]);
  });

  it.each([
    ['can reach something', skill('risky', 'return ctx.tools.save_skill({});')],
    ['has more than 200 lines', bare({ code: `${draft().code}\n${'// line\n'.repeat(200)}` })],
    ['has more than 20,000 characters', bare({ code: `${draft().code} // ${'x'.repeat(20_000)}` })],
  ])('of a version that %s', async (_, fields) => {
    const app = await testApp(counts);
    const id = await saved(app, fields);
    const { decide, asked } = await connect(app, () => approve);
    expect(textOf(await decide(id))).toContain('[needs_person]');
    expect(asked).toEqual([]);
    expect(await reviewOf(app, id)).toMatchObject({ state: 'open' });
  });

  it.each(newest)('whatever decision an agent at %s sends along', async (era) => {
    for (const more of [{}, counts]) {
      const app = await testApp(more);
      const id = await saved(app);
      const { decide } = await connect(app, undefined, era);
      const result = await decide(id, { decision: 'approve', seal: 'a'.repeat(64) });
      expect(textOf(result)).toContain('toolweaver r');
      expect(await reviewOf(app, id)).toMatchObject({ state: 'open' });
    }
  });

  it('of a review that is closed or that there is none of, but says so', async () => {
    const app = await testApp(counts);
    const id = await saved(app);
    await app.decide('approved');
    const { decide, asked } = await connect(app, () => approve);
    expect(textOf(await decide(id))).toContain('[conflict]');
    expect(textOf(await decide('nothing'))).toContain('[not_found]');
    expect(asked).toEqual([]);
  });
});

it('a version that was left to a person is decided by the answer they give later', async () => {
  const app = await testApp(counts);
  const id = await saved(app);
  const { decide } = await connect(app);
  const asked = (await decide(id)).structuredContent as { run_id: string; question: { id: string }; next: string };
  expect(asked.next).toContain(`toolweaver run answer ${asked.run_id}`);
  const input = { run_id: asked.run_id, question_id: asked.question.id, answer: { decision: 'approve' } };
  const own = await app.outcome('answer_run', input, { principal: ada });
  expect(own).toMatchObject({ status: 'failed', error: { code: 'needs_person' } });
  await app.use('answer_run', input, { principal: person, via: 'cli' });
  expect(await reviewOf(app, id)).toMatchObject({
    state: 'approved',
    decisions: [{ principal: person.id, how: 'cli' }],
  });
});

describe('decide_review of a person who may approve, signed in over HTTP,', () => {
  const asRita = async (app: TestApp, era: Era) => {
    const client = await connectOverHttp(app, { name: 'rita', kind: 'person' }, { era });
    return (more: Record<string, unknown>): Promise<Result> =>
      client.callTool({ name: 'decide_review', arguments: more });
  };

  it.each(newest)('shows the review at %s, and decides with its seal', async (era) => {
    const app = await testApp();
    const id = await saved(app);
    const decide = await asRita(app, era);
    const shown = (await decide({ id })).structuredContent as { seal: string; text: string };
    expect(shown.text).toContain(String(draft().code));
    expect(await reviewOf(app, id)).toMatchObject({ state: 'open' });
    expect(textOf(await decide({ id, decision: 'approve' }))).toContain('[conflict]');
    expect(textOf(await decide({ id, decision: 'approve', seal: 'a'.repeat(64) }))).toContain('[conflict]');
    const decided = await decide({ id, decision: 'approve', seal: shown.seal, comment: 'read it' });
    expect(decided.structuredContent).toMatchObject({ state: 'approved' });
    expect(await reviewOf(app, id)).toMatchObject({
      decisions: [{ principal: 'person:rita', comment: 'read it', how: 'mcp' }],
    });
    expect(textOf(await decide({ id, decision: 'reject', seal: shown.seal }))).toContain('[conflict]');
  });
});

it('an agent over the JSON API decides nothing either', async () => {
  const app = await testApp(counts);
  const id = await saved(app);
  const outcome = await app.outcome('decide_review', { id, decision: 'approve' }, { principal: agent, via: 'web' });
  expect(outcome).toMatchObject({ status: 'asks', question: { for: 'person' } });
  expect(await reviewOf(app, id)).toMatchObject({ state: 'open' });
});
