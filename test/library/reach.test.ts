import { describe, expect, it } from 'vitest';
import { listReviews } from '../../src/approval/reviews.ts';
import type { Reach, Risk } from '../../src/contracts.ts';
import { reachRisk } from '../../src/library/reach.ts';
import { reviewText } from '../../src/library/review-text.ts';
import { viewReview } from '../../src/library/review-view.ts';
import { type TestApp, testApp } from '../helpers/app.ts';
import { findingsOf, lenient, saveSkill, skill } from '../helpers/drafts.ts';

const saved = (app: TestApp, fields: Record<string, unknown>) =>
  app.use('save_skill', fields) as Promise<Record<string, unknown>>;

const asks = (name: string, address: string, capabilities: object, more: object = {}) =>
  skill(name, `return { status: (await ctx.fetch(${JSON.stringify(address)})).status };`, { capabilities, ...more });

async function openReviewText({ database }: TestApp): Promise<string> {
  const [review] = await listReviews(database.read, 'local', 'open', 1);
  return reviewText(await viewReview(database.read, 'local', review?.id ?? ''));
}

describe('the risk of a reach', () => {
  const secrets = [{ name: 'T', host: 'a.example', header: 'authorization' }];
  it.each<[string, Partial<Reach>, Risk]>([
    ['nothing', {}, 'none'],
    ['reading files', { files: 'read' }, 'reads'],
    ['writing files', { files: 'write' }, 'writes'],
    ['asking a host', { net: [{ host: 'a.example', methods: ['GET', 'HEAD'] }] }, 'reads'],
    ['sending to a host', { net: [{ host: 'a.example', methods: ['GET', 'POST'] }] }, 'writes'],
    ['any request to a host', { net: [{ host: 'a.example' }] }, 'writes'],
    ['a secret', { net: [{ host: 'a.example', methods: ['GET'] }], secrets }, 'secrets'],
    ['any host', { net: [{ host: '*', methods: ['GET'] }], secrets }, 'open_network'],
  ])('of %s', (_, reach, risk) => {
    expect(reachRisk({ net: [], secrets: [], files: 'none', ...reach })).toBe(risk);
  });
});

describe('a skill that declares what it reaches', () => {
  it('is told of all that it does not declare, and of all that it declares in vain', async () => {
    const app = await testApp();
    const code = "ctx.fetch('https://a.example/', { headers: { a: '{{secret:TOKEN}}' } });\nctx.files.write('a', 'b');";
    const capabilities = { net: ['b.example'], secrets: ['OTHER@b.example'] };
    const rules = (await findingsOf(app, skill('asks', code, { capabilities }))).map(({ rule, line }) => [rule, line]);
    expect(rules).toEqual([
      ['undeclared_net', 2],
      ['unused_capability', undefined],
      ['undeclared_secret', 2],
      ['unused_capability', undefined],
      ['undeclared_files', 3],
    ]);
  });

  it.each([
    ['a capability that there is none of', { process: ['ls'] }],
    ['its environment', { env: ['HOME'] }],
    ['files of another kind', { files: 'all' }],
    ['a host that is none', { net: [{ hosts: ['a.example'] }] }],
  ])('may not declare %s', async (_, capabilities) => {
    const app = await testApp();
    const outcome = await app.outcome('save_skill', skill('asks', 'return 1;', { capabilities }));
    expect(outcome).toMatchObject({
      status: 'failed',
      error: { code: 'bad_input', message: expect.stringContaining('capabilities') },
    });
  });

  it('may declare any host only where the settings say so', async () => {
    const any = asks('asks', 'https://a.example/', { net: ['*'] });
    const app = await testApp();
    await expect(saved(app, any)).rejects.toMatchObject({
      details: { findings: [{ rule: 'any_host' }, { rule: 'undeclared_net' }] },
    });
    const open = await testApp({ settings: { allowAnyHost: true } });
    expect(await saved(open, any)).toMatchObject({ state: 'pending', risk: 'open_network' });
  });

  it('waits for a person, who reads in plain words what it may do, and that a host is an exit', async () => {
    const app = await testApp();
    const code =
      "return (await ctx.fetch('https://api.github.com/user', { headers: { authorization: 'Bearer {{secret:TOKEN}}' } })).status;";
    const capabilities = { net: ['GET api.github.com'], secrets: ['TOKEN'] };
    expect(await saved(app, skill('asks', code, { capabilities }))).toMatchObject({
      state: 'pending',
      risk: 'secrets',
    });
    const text = await openReviewText(app);
    expect(text).toContain('+ sends GET requests to api.github.com\n');
    expect(text).toContain(
      '+ has the secret TOKEN put into the header authorization of requests to api.github.com, over https\n',
    );
    expect(text).toContain('An allowed host is itself an exit');
  });

  it('becomes a major version when it reaches more, and the review says what is new and what is gone', async () => {
    const app = await testApp({ settings: { approval: 'always', sandboxThreads: 1 } });
    await saved(app, asks('asks', 'https://a.example/', { net: ['GET a.example', 'GET old.example'] }));
    await app.decide('approved');
    const next = await saved(app, asks('asks', 'https://a.example/', { net: ['GET a.example', 'new.example'] }));
    expect(next).toMatchObject({ version: '2.0.0', reasons: ['it now sends any request to new.example'] });
    const text = await openReviewText(app);
    expect(text).toContain(
      '+ sends any request to new.example\n- no longer sends GET requests to old.example\n  sends GET requests to a.example\n',
    );
  });

  it('is described with it, and has the hints that follow from it', async () => {
    const app = await testApp(lenient);
    await saved(app, asks('asks', 'https://A.example/', { net: ['get A.example'] }));
    expect(await app.use('describe_tool', { name: 'asks' })).toMatchObject({
      risk: 'reads',
      capabilities: { net: [{ host: 'a.example', methods: ['GET'] }], secrets: [], files: 'none', env: 'none' },
      reach: { net: [{ host: 'a.example', methods: ['GET'] }] },
      annotations: { readOnlyHint: true, destructiveHint: false, openWorldHint: true },
    });
    await saved(app, skill('writes', "await ctx.files.write('a', 'b');", { capabilities: { files: 'write' } }));
    expect(await app.use('describe_tool', { name: 'writes' })).toMatchObject({
      annotations: { readOnlyHint: false, destructiveHint: true, openWorldHint: false },
    });
  });

  it('is as risky for what calls it, at any depth, and its host is named there too', async () => {
    const app = await testApp(lenient);
    await saved(app, asks('asks', 'https://a.example/', { net: ['GET a.example'] }));
    await saveSkill(app, 'between', 'return ctx.tools.asks({});');
    await saveSkill(app, 'above', 'return ctx.tools.between({});');
    expect(await app.use('describe_tool', { name: 'above' })).toMatchObject({
      risk: 'reads',
      capabilities: { net: [] },
      reach: { net: [{ host: 'a.example', methods: ['GET'] }], secrets: [], files: 'none' },
      annotations: { readOnlyHint: true, openWorldHint: true },
    });
    await saved(app, asks('asks', 'https://b.example/', { net: ['b.example'] }));
    const again = await saveSkill(app, 'above', 'return ctx.tools.between({ again: true });');
    expect(again).toMatchObject({ version: '1.0.1' });
    await saveSkill(app, 'between', 'return ctx.tools.asks({ again: true });');
    expect(await app.use('describe_tool', { name: 'between' })).toMatchObject({ version: '2.0.0', risk: 'writes' });
  });
});

describe('a skill that declares nothing', () => {
  it('has the seal that it had before there were capabilities', async () => {
    const app = await testApp();
    expect(await app.save()).toMatchObject({
      seal: '37e68da4d7b48bc76cbfef0adc0d223032edfd25edd8c6204e64e2456a8bd7b5',
    });
    expect(await app.use('describe_tool', { name: 'double' })).toMatchObject({
      capabilities: { net: [], secrets: [], files: 'none', env: 'none' },
      annotations: { readOnlyHint: true, openWorldHint: false },
    });
    expect(await app.use('describe_tool', { name: 'double' })).not.toHaveProperty('reach');
    expect(await app.save({ capabilities: { tools: [], net: [], files: 'none', env: 'none' } })).toMatchObject({
      changed: false,
    });
  });
});

it('a declared range of a tool is the one that is locked', async () => {
  const app = await testApp(lenient);
  await app.save();
  await app.save({ input_schema: { type: 'object' } });
  await saveSkill(app, 'user', 'return ctx.tools.double({ x: 3 });', { capabilities: { tools: ['double@^1'] } });
  expect(await app.use('describe_tool', { name: 'user' })).toMatchObject({
    uses: [{ name: 'double', range: '^1' }],
    lock: { double: { version: '1.0.0' } },
  });
});
