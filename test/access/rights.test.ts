import { describe, expect, it } from 'vitest';
import { createPrincipal } from '../../src/access/principals.ts';
import type { Principal } from '../../src/contracts.ts';
import { draft } from '../helpers/app.ts';
import { connectInMemory } from '../helpers/clients.ts';
import { type HttpApp, httpApp, httpEras, putTool } from '../helpers/http.ts';
import { textOf, until } from '../helpers/process.ts';

const names = (tools: { name: string }[]): string[] => tools.map(({ name }) => name);

const request = { via: 'system', signal: new AbortController().signal } as const;

async function withTools(): Promise<HttpApp> {
  const app = await httpApp();
  for (const name of ['csv_rows', 'csv_summary', 'json_summary']) putTool(app, name, () => ({ called: name }));
  return app;
}

describe('a role', () => {
  // What each may do, by a tool that needs it.
  const scopes = ['read', 'call', 'save'] as const;

  it.each([
    ['viewer', 'agent', ['read']],
    ['caller', 'agent', ['read', 'call']],
    ['author', 'service', ['read', 'call', 'save']],
    ['operator', 'agent', ['read', 'call']],
    ['admin', 'agent', ['read', 'call', 'save']],
    ['reviewer', 'person', ['read', 'call', 'approve']],
  ] as const)('%s of an %s may do what it says and no more', async (role, kind, may) => {
    const app = await httpApp();
    for (const needs of scopes) putTool(app, `to_${needs}`, () => ({}), { needs });
    const token = await app.tokenFor('ada', { kind, roles: [role] });
    for (const scope of scopes) {
      const { status, json } = await app.send(`/v1/tools/to_${scope}`, token, { body: {} });
      const isAllowed = (may as readonly string[]).includes(scope);
      expect([status, json.title], scope).toEqual(isAllowed ? [200, undefined] : [403, 'not_allowed']);
    }
  });

  it('without read shows no list', async () => {
    const app = await httpApp();
    putTool(app, 'csv_rows', () => ({}));
    const blind = createPrincipal('agent:blind', 'agent', []);
    const listed = app.call({ ...request, tool: 'search_tools', input: { queries: ['csv'] }, principal: blind });
    expect(await listed).toMatchObject({ status: 'failed', error: { code: 'not_allowed' } });
    const client = await connectInMemory(app, blind, { era: '2025-11-25' });
    await expect(client.listTools()).rejects.toThrow(/scope "read"/);
    await expect(client.listResources()).rejects.toThrow(/scope "read"/);
  });

  it('of a reviewer rolls back at once, of a caller not at all', async () => {
    const app = await httpApp();
    const use = (principal: Principal, input: unknown) => app.call({ ...request, tool: 'rollback', input, principal });
    const author = createPrincipal('agent:ada', 'agent', ['author']);
    await app.call({ ...request, tool: 'save_skill', input: draft(), principal: author });
    await app.call({ ...request, tool: 'save_skill', input: draft({ tags: ['x'] }), principal: author });
    const back = { name: 'double', version: '1.0.0', reason: 'the tag is wrong' };
    const caller = createPrincipal('agent:eve', 'agent', ['caller']);
    expect(await use(caller, back)).toMatchObject({ status: 'failed', error: { code: 'not_allowed' } });
    const reviewer = createPrincipal('person:rita', 'person', ['reviewer']);
    expect(await use(reviewer, back)).toMatchObject({ status: 'done', value: { state: 'active' } });
  });

  it.each(httpEras)('holds for a client of %s, through call_tool as well', async (era) => {
    const app = await withTools();
    const viewer = await app.client(era, await app.tokenFor('eve', { roles: ['viewer'] }));
    for (const call of [
      { name: 'csv_rows' },
      { name: 'call_tool', arguments: { name: 'csv_rows' } },
      { name: 'call_read_tool', arguments: { name: 'csv_rows' } },
      { name: 'save_skill', arguments: draft() },
    ]) {
      const refused = await viewer.callTool(call);
      expect([refused.isError, textOf(refused)], call.name).toEqual([true, expect.stringMatching(/^\[not_allowed\]/)]);
    }
    const caller = await app.client(era, await app.tokenFor('cal', { roles: ['caller'] }));
    expect((await caller.callTool({ name: 'csv_rows' })).structuredContent).toEqual({ called: 'csv_rows' });
    expect(textOf(await caller.callTool({ name: 'save_skill', arguments: draft() }))).toMatch(/^\[not_allowed\]/);
    expect(app.catalog.get('local', 'double')).toBeUndefined();
  });
});

describe('grants by glob', () => {
  const grants = { tools: ['csv_*', 'search_tools', 'describe_tool', 'call_tool'] };

  it.each(httpEras)(
    'hold for calls of a %s client, by name and through call_tool, and in what it is shown',
    async (era) => {
      const app = await withTools();
      const client = await app.client(era, await app.tokenFor('ada', grants));
      expect(names((await client.listTools()).tools)).toEqual([
        'search_tools',
        'describe_tool',
        'call_tool',
        'csv_rows',
        'csv_summary',
      ]);
      expect(names((await client.listResources()).resources)).toEqual(names((await client.listTools()).tools));
      expect((await client.callTool({ name: 'csv_rows' })).structuredContent).toEqual({ called: 'csv_rows' });
      const through = await client.callTool({ name: 'call_tool', arguments: { name: 'csv_summary' } });
      expect(through.structuredContent).toEqual({ called: 'csv_summary' });
      for (const call of [
        { name: 'json_summary' },
        { name: 'call_tool', arguments: { name: 'json_summary' } },
        { name: 'call_tool', arguments: { name: 'save_skill', input: draft() } },
        { name: 'save_skill', arguments: draft() },
        { name: 'list_runs' },
      ]) {
        const refused = await client.callTool(call);
        expect([refused.isError, textOf(refused)], JSON.stringify(call)).toEqual([
          true,
          expect.stringMatching(/^\[not_allowed\]/),
        ]);
      }
    },
  );

  it('hold in search, whose limit counts only what is shown, and in descriptions', async () => {
    const app = await withTools();
    const client = await app.client('2025-11-25', await app.tokenFor('ada', grants));
    const search = await client.callTool({ name: 'search_tools', arguments: { queries: ['summary'], limit: 1 } });
    const { results } = search.structuredContent as { results: { hits: { name: string }[] }[] };
    expect(results.map(({ hits }) => names(hits))).toEqual([['csv_summary']]);
    const described = await client.callTool({ name: 'describe_tool', arguments: { name: 'json_summary' } });
    expect(textOf(described)).toMatch(/^\[unknown_tool\]/);
    await expect(client.readResource({ uri: 'toolweaver://tools/json_summary' })).rejects.toThrow();
    const own = await client.callTool({ name: 'describe_tool', arguments: { name: 'csv_rows' } });
    expect(own.structuredContent).toMatchObject({ name: 'csv_rows' });
  });

  it('hold at the JSON API, in its lists and in its description', async () => {
    const app = await withTools();
    const token = await app.tokenFor('ada', grants);
    const listed = await app.send('/v1/tools', token);
    expect(names(listed.json.tools)).toEqual(['search_tools', 'describe_tool', 'call_tool', 'csv_rows', 'csv_summary']);
    const { paths } = (await app.send('/v1/openapi.json', token)).json;
    expect(Object.keys(paths)).toContain('/v1/tools/csv_rows');
    expect(Object.keys(paths)).not.toContain('/v1/tools/json_summary');
    expect((await app.send('/v1/tools/csv_rows', token, { body: {} })).json).toEqual({ called: 'csv_rows' });
    for (const [path, body] of [
      ['json_summary', {}],
      ['json_summary@1', {}],
      ['call_tool', { name: 'json_summary' }],
    ] as const) {
      expect((await app.send(`/v1/tools/${path}`, token, { body })).status, path).toBe(403);
    }
  });

  it('page a narrowed list without a gap', async () => {
    const app = await httpApp();
    const wanted = Array.from({ length: 450 }, (_, i) => `csv_${String(i).padStart(3, '0')}`);
    for (const name of wanted) {
      putTool(app, name, () => ({}));
      putTool(app, `x_${name}`, () => ({}));
    }
    const client = await app.client(
      '2026-07-28',
      await app.tokenFor('ada', { tools: ['csv_*', 'get_run', 'save_skill'] }),
    );
    expect(names((await client.listTools()).tools)).toEqual(['save_skill', 'get_run', ...wanted]);
  });

  it('of nothing show and allow nothing', async () => {
    const app = await withTools();
    const token = await app.tokenFor('ada', { tools: [] });
    expect((await app.send('/v1/tools', token)).json).toEqual({ tools: [] });
    expect((await app.send('/v1/tools/csv_rows', token, { body: {} })).status).toBe(403);
    const client = await app.client('2026-07-28', token);
    expect((await client.listTools()).tools).toEqual([]);
  });
});

async function two(app: HttpApp): Promise<{ ours: string; theirs: string }> {
  const [ours, theirs] = await Promise.all(
    // The same name on both sides: only the tenant tells them apart.
    ['ours', 'theirs'].map((tenant) => app.tokenFor('ada', { tenant, roles: ['admin'] })),
  );
  return { ours: ours ?? '', theirs: theirs ?? '' };
}

const doubled = { input: { x: 21 }, output: { y: 42 } };

describe('two tenants', () => {
  it('see nothing of each other at the JSON API: tools, versions, code, runs, reviews', async () => {
    const app = await httpApp();
    const { ours, theirs } = await two(app);
    const use = (token: string, tool: string, body: unknown) => app.send(`/v1/tools/${tool}`, token, { body });
    expect((await use(ours, 'save_skill', draft())).json).toMatchObject({ state: 'active' });
    expect((await use(ours, 'save_skill', draft({ name: 'waits', examples: [] }))).json).toMatchObject({
      state: 'pending',
    });
    expect((await use(ours, 'double', doubled.input)).json).toEqual(doubled.output);
    // Long enough to go on in the background for certain.
    const code = 'export default (input) => { for (let i = 0; i < 3e6; i++); return { y: input.x * 2 }; };';
    await use(ours, 'save_skill', draft({ name: 'slow', code }));
    const background = await app.send('/v1/tools/slow', ours, {
      body: { x: 1 },
      headers: { prefer: 'respond-async' },
    });
    const run = background.json.run_id;
    expect(run).toEqual(expect.any(String));

    for (const [tool, input] of [
      ['double', doubled.input],
      ['call_tool', { name: 'double', input: doubled.input }],
      ['double@1.0.0', doubled.input],
      ['describe_tool', { name: 'double', with_code: true }],
      ['list_versions', { name: 'double' }],
      ['get_run', { run_id: run }],
      ['cancel_run', { run_id: run }],
      ['rollback', { name: 'double', version: '1.0.0', reason: 'mine now' }],
    ] as const) {
      const { status, text } = await use(theirs, tool, input);
      expect([status, tool]).toEqual([404, tool]);
      expect(text).not.toContain('Doubles');
    }
    expect((await app.send(`/v1/runs/${run}`, theirs)).status).toBe(404);
    expect((await app.send(`/v1/runs/${run}`, theirs, { method: 'DELETE' })).status).toBe(404);
    expect((await use(theirs, 'list_runs', {})).json).toEqual({ runs: [] });
    expect((await use(theirs, 'list_reviews', {})).json).toMatchObject({ reviews: [] });
    expect((await use(theirs, 'search_tools', { queries: ['doubles a number'] })).text).not.toContain('"double"');
    for (const path of ['/v1/tools', '/v1/openapi.json'])
      expect((await app.send(path, theirs)).text).not.toContain('Doubles');
    expect((await app.send(`/v1/runs/${run}`, ours)).status).toBe(200);

    // The same name may stand for another thing on the other side.
    const tripled = 'export default (input) => ({ y: input.x * 3 });';
    const saved = await use(
      theirs,
      'save_skill',
      draft({ code: tripled, examples: [{ input: { x: 2 }, output: { y: 6 } }] }),
    );
    expect(saved.json).toMatchObject({ version: '1.0.0', state: 'active' });
    expect((await use(theirs, 'double', { x: 2 })).json).toEqual({ y: 6 });
    expect((await use(ours, 'double', { x: 2 })).json).toEqual({ y: 4 });
  });

  it('have idempotency keys of their own', async () => {
    const app = await httpApp();
    const { ours, theirs } = await two(app);
    for (const tenant of ['ours', 'theirs']) putTool(app, 'whose', () => ({ tenant }), { tenant });
    const ask = (token: string) =>
      app.send('/v1/tools/whose', token, { body: {}, headers: { 'idempotency-key': 'the same' } });
    expect([(await ask(ours)).json, (await ask(theirs)).json]).toEqual([{ tenant: 'ours' }, { tenant: 'theirs' }]);
  });

  it.each(httpEras)('see nothing of each other in the lists and resources of a %s client', async (era) => {
    const app = await httpApp();
    const { ours, theirs } = await two(app);
    for (const [tenant, name] of [
      ['ours', 'our_tool'],
      ['theirs', 'their_tool'],
    ] as const)
      putTool(app, name, () => ({ tenant }), { tenant });
    const client = await app.client(era, ours);
    const listed = (await client.listTools()).tools.map(({ name }) => name);
    expect([listed.includes('our_tool'), listed.includes('their_tool')]).toEqual([true, false]);
    await expect(client.callTool({ name: 'their_tool' })).rejects.toMatchObject({ code: -32602 });
    await expect(client.readResource({ uri: 'toolweaver://tools/their_tool' })).rejects.toThrow();
    const other = await app.client(era, theirs);
    expect(textOf(await other.callTool({ name: 'their_tool' }))).toContain('theirs');
  });

  it('hear of their own changes that another process makes', async () => {
    const app = await httpApp();
    const { ours } = await two(app);
    let changes = 0;
    const onChanged = () => void changes++;
    await app.client('2025-11-25', ours, { listChanged: { tools: { onChanged } } });
    // What another process would leave behind: an entry, and a raised generation.
    await app.database.write(async (trx) => {
      await trx.insertInto('generation').values({ tenant: 'ours', value: 1 }).execute();
      await trx
        .insertInto('entries')
        .values({
          tenant: 'ours',
          name: 'gone',
          name_key: 'gone',
          kind: 'skill',
          active_version: null,
          generation: 1,
          created_at: 1,
          created_by: 'person:x',
        })
        .execute();
    });
    expect(await until(() => changes > 0)).toBe(true);
  });
});
