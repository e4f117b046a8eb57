import { afterAll, describe, expect, it } from 'vitest';
import { createEngines } from '../../src/sandbox/engines.ts';
import { createKeyring } from '../../src/secrets/keyring.ts';
import { setSecret } from '../../src/secrets/table.ts';
import { inspectSkill } from '../../src/skills/check.ts';
import { person, type TestApp, temporaryFolder, testApp } from '../helpers/app.ts';
import { bare, findingsOf } from '../helpers/drafts.ts';
import { needsPython } from '../helpers/python.ts';
import { openWorld } from '../helpers/world.ts';

type Fields = Record<string, unknown>;
const anything = { type: 'object' };

/** A draft in Python: the lines of its source, and more fields. */
const python = (name: string, lines: readonly string[], fields: Fields = {}): Fields =>
  bare({
    name,
    language: 'python',
    code: lines.join('\n'),
    input_schema: anything,
    output_schema: undefined,
    ...fields,
  });

const shortest = ['def run(input, ctx):', '    return {"y": input["x"] * 2}'];

describe('where Python cannot be confined', () => {
  it('a skill in it is refused with the reason, and so is code that runs once', async () => {
    const app = await testApp({ settings: { pythonPath: '/nowhere/python3', sandboxThreads: 1 } });
    const reason = { rule: 'needs_python', where: 'language', message: expect.stringContaining('cannot be used') };
    expect(await findingsOf(app, python('doubles', shortest))).toMatchObject([reason]);
    await expect(app.use('run_code', { language: 'python', code: shortest.join('\n') })).rejects.toMatchObject({
      code: 'check_failed',
      details: { findings: [reason] },
    });
  });
});

describe.skipIf(needsPython !== '')(`a skill in Python${needsPython}`, () => {
  const open = (settings: Fields = {}): Promise<TestApp> => testApp({ settings: { sandboxThreads: 1, ...settings } });

  it('is active at once when it needs nothing and its example passes, and is called like any other', async () => {
    const app = await open();
    const examples = [{ input: { x: 2 }, output: { y: 4 } }];
    expect(await app.use('save_skill', python('doubles', shortest, { examples }))).toMatchObject({
      state: 'active',
      examples: '1 of 1 passed',
      risk: 'none',
    });
    expect(await app.use('doubles', { x: 21 })).toEqual({ y: 42 });
    const client = await app.as('ada');
    expect(await client.callTool({ name: 'doubles', arguments: { x: 4 } })).toMatchObject({
      structuredContent: { y: 8 },
    });
  });

  it('is refused with what its example gave, or with the line on which it failed', async () => {
    const app = await open();
    const wrong = python('doubles', shortest, { examples: [{ input: { x: 2 }, output: { y: 5 } }] });
    expect(await findingsOf(app, wrong)).toMatchObject([
      { rule: 'example_differs', message: expect.stringContaining('{"y":4}') },
    ]);
    const fails = python('doubles', shortest, { examples: [{ input: {}, output: 1 }] });
    expect(await findingsOf(app, fails)).toMatchObject([
      { rule: 'example_failed', message: expect.stringContaining("KeyError: 'x' (line 2)") },
    ]);
  });

  it('calls the tools that it names, and JavaScript calls it', async () => {
    const app = await open({ approval: 'auto' });
    await app.save();
    const lines = [
      'import asyncio',
      'async def twice(c, x):',
      '    return (await c.call("double@^1", x=x))["y"]',
      'async def run(input, ctx):',
      '    both = await asyncio.gather(twice(ctx, 1), ctx.call("double@^1", {"x": 5}))',
      '    return {"both": both}',
    ];
    const saved = await app.use('save_skill', python('both', lines));
    expect(saved).toMatchObject({ state: 'active' });
    expect(await app.use('both')).toEqual({ both: [2, { y: 10 }] });
    const code = 'return await ctx.tools.both({});';
    expect(await app.use('run_code', { code })).toMatchObject({ result: { both: [2, { y: 10 }] } });
  });

  it('asks servers, sends secrets and keeps files as its capabilities say, once a person has approved it', async () => {
    const world = openWorld();
    const home = temporaryFolder();
    const app = await testApp({ settings: { approval: 'risk', sandboxThreads: 1, home }, transport: world.transport });
    await world.serve('https://api.example.com', (request, response) => {
      response.writeHead(200, { 'x-theirs': 'yes' }).end(JSON.stringify({ n: 41, saw: request.headers.authorization }));
    });
    const secret = { name: 'TOKEN', value: 'a-long-secret-value', hosts: ['api.example.com'] };
    await setSecret(app.database, createKeyring(app.config), person, secret, Date.now());
    const lines = [
      'BASE = "https://api.example.com"',
      'def run(input, ctx):',
      '    page = ctx.fetch(BASE + "/x", headers={"authorization": "Bearer {{secret:TOKEN}}"})',
      '    ctx.files.append("log.txt", str(page.json()["n"]))',
      '    return {"n": page.json()["n"] + 1, "saw": page.json().get("saw"), "log": ctx.files.read("log.txt"), "kind": page.headers.get("x-theirs")}',
    ];
    const capabilities = { net: ['GET api.example.com'], secrets: ['TOKEN'], files: 'write' };
    const stubs = { 'ctx.fetch': { 'GET https://api.example.com/x': { n: 1 } }, 'ctx.files': { 'log.txt': '0' } };
    const examples = [{ input: {}, output: { n: 2, saw: null, log: '01', kind: null }, stubs }];
    const saved = await app.use('save_skill', python('asks', lines, { capabilities, examples }));
    expect(saved).toMatchObject({ state: 'pending', examples: '1 of 1 passed', risk: 'secrets' });
    await app.decide('approved');
    const answer = (await app.use('asks')) as Fields;
    expect(answer).toMatchObject({ n: 42, log: '41', kind: 'yes' });
    expect(JSON.stringify(answer)).not.toContain('a-long-secret-value');
    expect(await app.use('asks')).toMatchObject({ log: '4141' });
  });

  it('that grants more than it uses, or makes code, is saved with warnings', async () => {
    const app = await open({ approval: 'auto' });
    const lines = ['import socket', 'def run(input, ctx):', '    return eval("1")'];
    const saved = await app.use('save_skill', python('evals', lines, { capabilities: { net: ['a.example'] } }));
    expect(saved).toMatchObject({ state: 'active' });
    const rules = ((saved as Fields).findings as { rule: string }[]).map(({ rule }) => rule);
    expect(rules).toEqual(expect.arrayContaining(['made_code', 'no_use', 'unused_capability']));
  });

  it('runs once as code, may name tools at run time there, and becomes a skill', async () => {
    const app = await open({ approval: 'auto' });
    await app.save();
    const code = [
      'def run(input, ctx):',
      '    name = input["tool"]',
      '    print("calling", name)',
      '    return {"y": ctx.call(name, x=4)["y"]}',
    ].join('\n');
    const ran = (await app.use('run_code', { language: 'python', code, input: { tool: 'double' } })) as Fields;
    expect(ran).toMatchObject({ result: { y: 8 }, logs: ['calling double'], calls: { double: 1 } });
    const literal = code.replace('input["tool"]', '"double"').replace('ctx.call(name, ', 'ctx.tools.double(');
    const again = (await app.use('run_code', { language: 'python', code: literal, input: {} })) as Fields;
    const draft = { name: 'from_run', description: 'Doubles four.', from_run: again.run_id, run_as_example: true };
    expect(await app.use('save_skill', draft)).toMatchObject({ state: 'active', examples: '1 of 1 passed' });
    expect(await app.use('from_run')).toEqual({ y: 8 });
    await expect(app.use('run_code', { language: 'python', code: 'return 1' })).rejects.toMatchObject({
      details: { findings: [{ rule: 'syntax', line: 1 }] },
    });
  });

  it('gives errors of its tools and of its own with the line', async () => {
    const app = await open({ approval: 'auto' });
    await app.save();
    const lines = ['def run(input, ctx):', '    x = 1', '    return ctx.tools.double(x="no")'];
    await app.use('save_skill', python('fails', lines));
    await expect(app.use('fails')).rejects.toMatchObject({
      code: 'skill_failed',
      message: expect.stringContaining('(line 3)'),
      details: { tool: 'double', code: 'bad_input', line: 3 },
    });
  });
});

describe.skipIf(needsPython !== '')(`the source of a skill in Python${needsPython}`, () => {
  const engines = createEngines({});
  afterAll(() => engines.close());
  const rules = { allowAnyHost: false, builtins: () => [], engineProblem: engines.problem, sandbox: engines.of };

  it.each<[string, string[], Fields, object[]]>([
    ['does not parse', ['def run(input, ctx):', '    return ('], {}, [{ rule: 'syntax', line: 2, column: 12 }]],
    ['has no run', ['def main(input, ctx):', '    return 1'], {}, [{ rule: 'no_run' }]],
    ['takes too little', ['def run(input):', '    return 1'], {}, [{ rule: 'signature', line: 1 }]],
    ['is a generator', ['def run(input, ctx):', '    yield 1'], {}, [{ rule: 'generator', line: 1 }]],
    ['imports what is not there', ['import numpy', ...shortest], {}, [{ rule: 'import', line: 1 }]],
    [
      'uses an unknown name',
      ['def run(input, ctx):', '    return inptu'],
      {},
      [{ rule: 'unknown_name', line: 2, column: 12 }],
    ],
    ['uses ctx outside of run', ['now = ctx.now()', ...shortest], {}, [{ rule: 'unknown_name', line: 1 }]],
    [
      'computes the name of a tool',
      ['def run(input, ctx):', '    return getattr(ctx.tools, "x")()'],
      {},
      [{ rule: 'ctx_escapes', line: 2 }],
    ],
    ['hands ctx away', ['def run(input, ctx):', '    return print(ctx)'], {}, [{ rule: 'ctx_escapes', line: 2 }]],
    [
      'computes a call',
      ['def run(input, ctx):', '    return ctx.call(input["x"])'],
      {},
      [{ rule: 'dynamic_tool', line: 2 }],
    ],
    [
      'asks an undeclared host',
      ['def run(input, ctx):', '    return ctx.fetch(f"https://a.example/{1}").status'],
      {},
      [{ rule: 'undeclared_net', line: 2, column: 12 }],
    ],
    [
      'asks by an undeclared method',
      ['def run(input, ctx):', '    return ctx.fetch("https://a.example/", method="post").status'],
      { net: ['GET a.example'] },
      [{ rule: 'undeclared_net', line: 2 }],
    ],
    [
      'uses undeclared files',
      ['def run(input, ctx):', '    f = ctx.files', '    return f.read("a")'],
      {},
      [{ rule: 'undeclared_files', line: 3 }],
    ],
    [
      'writes where it may read',
      ['def run(input, ctx):', '    ctx.files.write("a", "b")'],
      { files: 'read' },
      [{ rule: 'undeclared_files', line: 2 }],
    ],
    [
      'names an undeclared secret',
      ['A = "Bearer {{secret:TOKEN}}"', ...shortest],
      {},
      [{ rule: 'undeclared_secret', line: 1, column: 5 }],
    ],
    [
      'names a secret in an f-string',
      ['A = f"Bearer {{secret:TOKEN}}"', ...shortest],
      {},
      [{ rule: 'dynamic_secret', line: 1 }],
    ],
    [
      'calls an undeclared tool',
      ['def run(input, ctx):', '    return [t.double(x=1) for t in [0]] and ctx.tools.double(x=1)'],
      { tools: [] },
      [{ rule: 'undeclared_tool', line: 2 }],
    ],
    [
      'calls a tool by two ranges',
      ['def run(input, ctx):', '    ctx.call("double@^1")', '    ctx.tools.double()'],
      {},
      [{ rule: 'two_ranges', line: 3 }],
    ],
    ['hides a character', ['A = "\u202e"', ...shortest], {}, [{ rule: 'hidden_character', line: 1 }]],
    [
      'nests too deeply',
      ['def run(input, ctx):', `    return ${'-'.repeat(90_000)}1`],
      {},
      [{ rule: 'code_too_deep' }],
    ],
    ['holds a credential', ['A = "AKI' + 'A2QJ7XW4RN5TKLMBC"', ...shortest], {}, [{ line: 1 }]],
  ])('that %s is refused with rule and place', async (_, lines, capabilities, expected) => {
    const { findings, manifest } = await inspectSkill(python('mine', lines, { capabilities }), rules);
    expect(findings.filter(({ severity }) => severity === 'error')).toMatchObject(expected);
    expect(manifest).toBeUndefined();
  });
});
