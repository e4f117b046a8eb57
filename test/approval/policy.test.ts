import { describe, expect, it } from 'vitest';
import { type ApprovalPolicy, reasonToReview } from '../../src/approval/policy.ts';
import { type Risk, risks } from '../../src/contracts.ts';
import { draft, testApp } from '../helpers/app.ts';
import { bare, saveSkill, skill } from '../helpers/drafts.ts';

describe('the policy', () => {
  it.each<[ApprovalPolicy, Risk, number, string | undefined]>([
    ['risk', 'none', 1, undefined],
    ['risk', 'none', 0, 'example'],
    ['risk', 'reads', 1, 'reads'],
    ['risk', 'writes', 5, 'writes'],
    ['risk', 'secrets', 5, 'secrets'],
    ['risk', 'open_network', 5, 'open_network'],
    ['always', 'none', 5, 'every version'],
    ['always', 'writes', 0, 'every version'],
    ['auto', 'none', 0, undefined],
    ['auto', 'open_network', 0, undefined],
  ])('%s for risk %s and %i passed examples', (policy, risk, passed, why) => {
    const reason = reasonToReview(policy, risk, passed, []);
    if (why === undefined) expect(reason).toBeUndefined();
    else expect(reason).toContain(why);
  });

  it('has an answer for every risk', () => {
    for (const risk of risks)
      expect(typeof reasonToReview('risk', risk, 1, [])).toBe(risk === 'none' ? 'undefined' : 'string');
  });
});

describe('what waits for a person', () => {
  it('is not a harmless skill with a passing example', async () => {
    const app = await testApp();
    expect(await app.save()).toMatchObject({ state: 'active', risk: 'none' });
    expect(await app.use('list_reviews')).toEqual({ reviews: [] });
  });

  it('is one without an example, and its caller is told what to do', async () => {
    const app = await testApp();
    const saved = (await app.use('save_skill', bare())) as { review: { id: string }; next: string };
    expect(saved).toMatchObject({ state: 'pending', review: { why: 'no example shows what it does' } });
    expect(saved.next).toContain(`toolweaver review show ${saved.review.id}`);
    expect(await app.use('list_reviews')).toMatchObject({
      reviews: [{ id: saved.review.id, subject: 'version', name: 'double', version: '1.0.0', opened_by: 'agent:test' }],
    });
    expect((await app.as('ada').then((ada) => ada.listTools())).tools.map(({ name }) => name)).not.toContain('double');
  });

  const risky = { save_skill: 'writes', rollback: 'writes', get_run: 'reads', search_tools: 'reads' };
  it('is one that uses a built-in tool with risk, whatever its examples say', async () => {
    const app = await testApp();
    for (const [tool, risk] of Object.entries(risky)) {
      const fields = { examples: [{ input: {}, output: { a: 1 }, stubs: { [tool]: { a: 1 } } }] };
      expect(await saveSkill(app, `user_of_${tool}`, `return ctx.tools.${tool}({});`, fields), tool).toMatchObject({
        state: 'pending',
        risk,
        examples: '1 of 1 passed',
        review: { why: expect.stringContaining(risk) },
      });
    }
  });

  it('is one that uses a skill with risk, and not one that uses a harmless one', async () => {
    const app = await testApp();
    await saveSkill(app, 'reader', 'return ctx.tools.get_run({});');
    await app.decide('approved');
    const fields = { examples: [{ input: {}, output: {}, stubs: { reader: {} } }] };
    expect(await saveSkill(app, 'user', 'return ctx.tools.reader({});', fields)).toMatchObject({
      state: 'pending',
      risk: 'reads',
    });
    await app.save();
    const examples = [{ input: {}, output: { y: 6 } }];
    expect(await saveSkill(app, 'doubler', 'return ctx.tools.double({ x: 3 });', { examples })).toMatchObject({
      state: 'active',
      risk: 'none',
    });
  });

  it('is one that uses both, whichever it names last', async () => {
    const app = await testApp();
    await app.save();
    const body = 'await ctx.tools.rollback({}); await ctx.tools.get_run({}); return ctx.tools.double({ x: 1 });';
    const examples = [{ input: {}, output: { y: 2 }, stubs: { rollback: {}, get_run: {} } }];
    expect(await saveSkill(app, 'user', body, { examples })).toMatchObject({ state: 'pending', risk: 'writes' });
  });

  it('is everything under TOOLWEAVER_APPROVAL=always, and nothing under auto', async () => {
    const strict = await testApp({ settings: { approval: 'always' } });
    expect(await strict.save()).toMatchObject({ state: 'pending', examples: '1 of 1 passed' });
    const lax = await testApp({ settings: { approval: 'auto' } });
    expect(await saveSkill(lax, 'user', 'return ctx.tools.save_skill({});')).toMatchObject({
      state: 'active',
      risk: 'writes',
    });
  });

  it('under auto is still checked', async () => {
    const app = await testApp({ settings: { approval: 'auto' } });
    await expect(app.use('save_skill', draft({ code: 'nonsense(' }))).rejects.toMatchObject({ code: 'check_failed' });
    await expect(app.use('save_skill', skill('user', 'fetch(1);'))).rejects.toMatchObject({ code: 'check_failed' });
  });
});
