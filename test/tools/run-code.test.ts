import { describe, expect, it } from 'vitest';
import { listVersions } from '../../src/library/table.ts';
import { draft, person, testApp } from '../helpers/app.ts';

describe('run_code', () => {
  it('runs the body of a function over the whole catalog, and answers result, logs and calls', async () => {
    const app = await testApp();
    await app.save();
    const code =
      'const found = await ctx.tools.search_tools({ queries: ["double a number"] });\nconst all = await Promise.all(input.list.map((x) => ctx.tools.double({ x })));\nctx.log("found", found.results[0].hits[0].name);\nreturn all.map((one) => one.y);';
    expect(await app.use('run_code', { code, input: { list: [1, 2, 3] } })).toEqual({
      result: [2, 4, 6],
      logs: ['found double'],
      calls: { search_tools: 1, double: 3 },
      run_id: expect.stringMatching(/^run_/),
    });
  });

  it('runs a module, also of TypeScript, and finds tools by names made at run time', async () => {
    const app = await testApp();
    await app.save();
    const code =
      'type Out = { y: number };\nexport default async (input: { name: string }, ctx: any): Promise<number> => {\n  const out: Out = await ctx.call(input.name, { x: 4 });\n  return out.y;\n};';
    const done = await app.use('run_code', { code, language: 'typescript', input: { name: 'double@^1' } });
    expect(done).toMatchObject({ result: 8, calls: { double: 1 } });
  });

  it('calls read-only tools freely, and any other only when it is named, whatever way it is called', async () => {
    const app = await testApp();
    const save = `return await ctx.tools.save_skill(input)`;
    const around = `return await ctx.tools.call_tool({ name: 'save_skill', input })`;
    for (const code of [save, around]) {
      const named = { code, input: draft({ name: 'by_code' }) };
      await expect(app.use('run_code', named)).rejects.toMatchObject({
        code: 'skill_failed',
        message: expect.stringContaining('save_skill is not known to be read-only'),
        hint: expect.stringContaining('It had called: save_skill ×1'),
      });
      expect(app.catalog.get('local', 'by_code')).toBeUndefined();
    }
    expect(
      await app.use('run_code', { code: around, input: draft({ name: 'by_code' }), tools: ['save_skill'] }),
    ).toMatchObject({
      result: { name: 'by_code', state: 'active' },
      calls: { save_skill: 1 },
    });
  });

  it('tells code why a call was refused, which may catch it', async () => {
    const app = await testApp();
    const code =
      'try { await ctx.tools.rollback({ name: "x", version: "1.0.0", reason: "r" }); } catch (e) { return { name: e.name, code: e.code, tool: e.tool }; }';
    expect(await app.use('run_code', { code })).toMatchObject({
      result: { name: 'ToolError', code: 'not_allowed', tool: 'rollback' },
    });
  });

  it('has its principal’s rights and no more: not approval, not what a token does not name, not other scopes', async () => {
    const app = await testApp();
    await app.save();
    const principal = {
      id: 'agent:few',
      tenant: 'local',
      kind: 'agent' as const,
      roles: [],
      scopes: ['read' as const, 'call' as const],
    };
    const named = {
      code: 'return await ctx.tools.save_skill(input)',
      input: draft({ name: 'x' }),
      tools: ['save_skill'],
    };
    await expect(app.use('run_code', named, { principal })).rejects.toThrow('needs the scope "save"');
    const granted = { ...principal, tools: ['run_code', 'search_tools'] };
    await expect(
      app.use('run_code', { code: 'return await ctx.tools.double({ x: 1 })' }, { principal: granted }),
    ).rejects.toThrow('may not use double');
    await app.save({ description: 'Doubles a number, better.' });
    const back = 'return await ctx.tools.rollback({ name: "double", version: "1.0.0", reason: "r" })';
    await app.use('run_code', { code: back, tools: ['rollback'] }, { principal: person });
    // A person's code opens a request, as an agent does.
    expect((await listVersions(app.database.read, 'local', 'double')).map(({ state }) => state)).toEqual([
      'active',
      'superseded',
    ]);
  });

  it('is not to be called by code, neither a script nor a skill', async () => {
    const app = await testApp();
    const code = 'return await ctx.tools.run_code({ code: "return 1" })';
    await expect(app.use('run_code', { code, tools: ['run_code'] })).rejects.toThrow('Code cannot run code');
  });

  it('says every problem of the code at once, on the author’s lines', async () => {
    const app = await testApp();
    await expect(app.use('run_code', { code: 'const a = fetch("x");\nreturn process.env;' })).rejects.toMatchObject({
      code: 'check_failed',
      details: {
        findings: [
          expect.objectContaining({ rule: 'unknown_name', line: 1 }),
          expect.objectContaining({ rule: 'unknown_name', line: 2 }),
        ],
      },
    });
    await expect(app.use('run_code', { code: 'return (' })).rejects.toMatchObject({ code: 'check_failed' });
  });

  it('says with what a failure happened: line, logs and what had been called', async () => {
    const app = await testApp();
    await app.save();
    const code = 'await ctx.tools.double({ x: 1 });\nctx.log("before");\nthrow new Error("no");';
    await expect(app.use('run_code', { code })).rejects.toMatchObject({
      code: 'skill_failed',
      message: expect.stringContaining('line 3'),
      hint: expect.stringContaining('It had called: double ×1'),
      details: { calls: { double: 1 }, preview: 'before' },
    });
  });

  it('ends at its own limit of time, and of calls', async () => {
    const app = await testApp();
    await app.save();
    await expect(app.use('run_code', { code: 'for (;;);', timeout_ms: 200 })).rejects.toMatchObject({
      code: 'limit_exceeded',
    });
    const many = 'for (let i = 0; i < 1200; i++) await ctx.tools.double({ x: i });';
    await expect(app.use('run_code', { code: many })).rejects.toMatchObject({
      code: 'limit_exceeded',
      details: { limit: 'host_calls', calls: { double: 1_000 } },
    });
  });

  it('takes results that are too large for a model whole', async () => {
    const app = await testApp();
    const code = 'export default (input) => ({ text: "x".repeat(input.n) });';
    await app.save({
      name: 'large',
      code,
      input_schema: { type: 'object' },
      output_schema: { type: 'object' },
      examples: [{ input: { n: 1 }, output: { text: 'x' } }],
    });
    const asked = { code: 'return (await ctx.tools.large({ n: 500000 })).text.length' };
    expect(await app.use('run_code', asked)).toMatchObject({ result: 500_000 });
  });
});

describe('save_skill { from_run }', () => {
  const code = 'const words = input.text.split(" ");\nreturn { count: words.length, first: words[0] };';

  it('makes a skill of code that ran, with schemas that its input and result fit', async () => {
    const app = await testApp();
    const { run_id } = (await app.use('run_code', { code, input: { text: 'a b c' } })) as { run_id: string };
    const saved = await app.use('save_skill', {
      name: 'count_words',
      description: 'Counts words.',
      from_run: run_id,
      run_as_example: true,
    });
    expect(saved).toMatchObject({ name: 'count_words', state: 'active', examples: '1 of 1 passed' });
    expect(await app.use('count_words', { text: 'x y' })).toEqual({ count: 2, first: 'x' });
    expect(app.catalog.get('local', 'count_words')).toMatchObject({
      input: { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] },
      output: { type: 'object', properties: { count: { type: 'integer' }, first: { type: 'string' } } },
    });
  });

  it('keeps nothing of the run’s data as an example unless that is confirmed', async () => {
    const app = await testApp();
    const { run_id } = (await app.use('run_code', { code, input: { text: 'secret' } })) as { run_id: string };
    const saved = await app.use('save_skill', { name: 'count_words', description: 'Counts words.', from_run: run_id });
    expect(saved).toMatchObject({ examples: '0 of 0 passed', state: 'pending' });
    const blobs = await app.database.read.selectFrom('blobs').select('bytes').execute();
    expect(blobs.map(({ bytes }) => Buffer.from(bytes).toString()).join()).not.toContain('secret');
  });

  it('takes what the author gives before what the run gives', async () => {
    const app = await testApp();
    const { run_id } = (await app.use('run_code', {
      code: 'return { n: (input.n as number) + 1 };',
      language: 'typescript',
      input: { n: 1 },
    })) as { run_id: string };
    const input_schema = { type: 'object', properties: { n: { type: 'number' } }, required: ['n'] };
    const output_schema = { type: 'object', properties: { n: { type: 'number' } } };
    await app.use('save_skill', {
      name: 'next',
      description: 'The next number.',
      from_run: run_id,
      input_schema,
      output_schema,
      examples: [{ input: { n: 2 }, output: { n: 3 } }],
    });
    expect(await app.use('next', { n: 2 })).toEqual({ n: 3 });
    expect(app.catalog.get('local', 'next')).toMatchObject({ input: input_schema, output: output_schema });
  });

  it('refuses runs of others, of other tools, and drafts without code', async () => {
    const app = await testApp();
    const { run_id } = (await app.use('run_code', { code, input: { text: 'a' } })) as { run_id: string };
    const words = { name: 'x', description: 'Counts words.' };
    const other = {
      id: 'agent:other',
      tenant: 'local',
      kind: 'agent' as const,
      roles: [],
      scopes: ['read', 'call', 'save'] as ('read' | 'call' | 'save')[],
    };
    await expect(app.use('save_skill', { ...words, from_run: run_id }, { principal: other })).rejects.toMatchObject({
      code: 'not_found',
    });
    await expect(app.use('save_skill', { ...words, from_run: 'run_none' })).rejects.toMatchObject({
      code: 'not_found',
    });
    await expect(app.use('save_skill', words)).rejects.toThrow('input.code is missing; input.input_schema is missing');
    await expect(app.use('save_skill', { ...draft(), run_as_example: true })).rejects.toThrow(
      'of no use without from_run',
    );
  });
});
