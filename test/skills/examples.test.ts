import { describe, expect, it } from 'vitest';
import { draft, type TestApp, testApp } from '../helpers/app.ts';
import { findingsOf, saveSkill, skill } from '../helpers/drafts.ts';

const withExamples = (body: string, ...examples: object[]) => skill('try_it', body, { examples });

// The type check says of some of these programs, too, that they are wrong.
const isOfExamples = ({ rule }: { rule: string }): boolean => rule !== 'types';

describe('an example', () => {
  it('that gives something else is shown with both, and no later one is left out', async () => {
    const app = await testApp();
    const example = (x: number, y: number) => ({ input: { x }, output: { y } });
    const findings = await findingsOf(
      app,
      draft({ examples: [example(1, 2), example(2, 5), example(3, 6), example(4, 9)] }),
    );
    expect(findings).toMatchObject([
      { rule: 'example_differs', where: 'examples[1]', message: 'examples[1]: expected {"y":5}, got {"y":4}' },
      { rule: 'example_differs', where: 'examples[3]', message: 'examples[3]: expected {"y":9}, got {"y":8}' },
    ]);
  });

  const trouble: [string, string, object, string, RegExp][] = [
    [
      'throws',
      "\nthrow new TypeError('it broke');",
      { output: {} },
      'example_failed',
      /skill_failed.*TypeError: it broke.*line 3/,
    ],
    ['throws no error', "throw 'words';", { output: {} }, 'example_failed', /words/],
    ['spins', 'for (;;);', { output: {} }, 'example_failed', /limit_exceeded.*computed/],
    [
      'recurses without end',
      'const f = (n) => f(n + 1) + 1; return { n: f(0) };',
      { output: {} },
      'example_failed',
      /limit_exceeded/,
    ],
    [
      'answers too much',
      "return { a: 'x'.repeat(1100000) };",
      { output: {} },
      'example_failed',
      /limit_exceeded.*1000000/,
    ],
    [
      'answers too deep',
      'let a = {}; for (let i = 0; i < 500; i++) a = { a }; return a;',
      { output: {} },
      'example_failed',
      /limit_exceeded.*deep/,
    ],
    ['answers a function', 'return () => 1;', { output: {} }, 'example_failed', /bad_output/],
    ['never settles', 'return new Promise(() => {});', { output: {} }, 'example_failed', /never settles/],
    [
      'answers what the schema forbids',
      "return { n: 'one' };",
      { output: { n: 'one' } },
      'example_output',
      /output\.n must be a number/,
    ],
    [
      'takes what the schema forbids',
      'return {};',
      { input: { n: 'one' }, output: {} },
      'example_input',
      /input\.n must be a number/,
    ],
  ];
  it('that fails says how', async () => {
    const app = await testApp();
    const schema = { type: 'object', properties: { n: { type: 'number' } } };
    for (const [what, body, example, rule, message] of trouble) {
      const fields = { input_schema: schema, output_schema: schema, examples: [{ input: {}, ...example }] };
      const findings = (await findingsOf(app, skill('try_it', body, fields))).filter(isOfExamples);
      expect(findings, what).toMatchObject([{ rule, where: 'examples[0]', message: expect.stringMatching(message) }]);
      expect(JSON.stringify(findings).length, what).toBeLessThan(10_000);
    }
  });

  it('with a large answer shows the beginning of it, to validate_skill too', async () => {
    const app = await testApp();
    const body = "return { a: 'x'.repeat(900000) };";
    const twenty = Array(20).fill({ input: {}, output: { a: 1 } });
    const judged = (await app.use('validate_skill', withExamples(body, ...twenty))) as {
      findings: { message: string }[];
    };
    expect(judged).toMatchObject({
      valid: false,
      examples: Array(20).fill({ passed: false, got: expect.stringMatching(/^\{"a":"x+…$/) }),
    });
    expect(judged.findings[0]?.message.length).toBeLessThan(5_000);
  });

  it('has a clock that stands and a seed that stays, so that it passes on every day', async () => {
    const app = await testApp();
    const body = 'return { now: ctx.now(), date: new Date().toISOString(), random: ctx.random() === Math.random() };';
    const output = { now: Date.UTC(2026, 0, 1), date: '2026-01-01T00:00:00.000Z', random: false };
    expect(await saveSkill(app, 'try_it', body, { examples: [{ input: {}, output }] })).toMatchObject({
      state: 'active',
    });
  });

  it('may give its keys in any order', async () => {
    const app = await testApp();
    const examples = [{ input: {}, output: { b: { d: 1, c: [1, 2] }, a: 1 } }];
    await saveSkill(app, 'try_it', 'return { a: 1, b: { c: [1, 2], d: 1 } };', { examples });
    const turned = [{ input: {}, output: { c: [2, 1] } }];
    expect(await findingsOf(app, skill('try_that', 'return { c: [1, 2] };', { examples: turned }))).toHaveLength(1);
  });

  it('leaves nothing behind for the next', async () => {
    const app = await testApp();
    const body =
      'globalThis.n = (globalThis.n ?? 0) + 1; Object.prototype.polluted ??= globalThis.n; return { n: globalThis.n };';
    const examples = Array(3).fill({ input: {}, output: { n: 1 } });
    expect(await saveSkill(app, 'try_it', body, { examples })).toMatchObject({ examples: '3 of 3 passed' });
  });
});

describe('a nested call in an example', () => {
  it('of a harmless skill is real', async () => {
    const app = await testApp();
    await app.save();
    const stubs = { double: { y: 666 } };
    const examples = [{ input: {}, output: { y: 6 }, stubs }];
    expect(await saveSkill(app, 'user', 'return ctx.tools.double({ x: 3 });', { examples })).toMatchObject({
      state: 'active',
    });
  });

  it('of a tool with risk is answered from the stubs, and reaches nothing', async () => {
    const app = await testApp();
    const body = "return ctx.tools.save_skill({ name: 'planted' });";
    const examples = [{ input: {}, output: { saved: true }, stubs: { save_skill: { saved: true } } }];
    expect(await saveSkill(app, 'user', body, { examples })).toMatchObject({
      state: 'pending',
      examples: '1 of 1 passed',
    });
    await expect(app.use('list_versions', { name: 'planted' })).rejects.toMatchObject({ code: 'not_found' });
  });

  it('of a tool with risk without a stub fails and names the stub to write', async () => {
    const app = await testApp();
    const examples = [{ input: {}, output: {}, stubs: { rollback: {} } }];
    const findings = await findingsOf(app, skill('user', 'return ctx.tools.save_skill({});', { examples }));
    const [finding] = findings.filter(isOfExamples);
    expect(finding).toMatchObject({
      rule: 'example_failed',
      message: expect.stringContaining('stubs: { "save_skill"'),
    });
  });

  it('goes by the risk of the version that is locked, not of the active one', async () => {
    const app = await testApp({ settings: { approval: 'auto' } });
    const planted =
      "{ name: 'planted', description: 'Planted.', code: 'export default () => ({});', input_schema: { type: 'object' } }";
    await saveSkill(app, 'tell', `return ctx.tools.save_skill(${planted});`);
    await saveSkill(app, 'tell', 'return {};', { version: '2.0.0' });
    const examples = [{ input: {}, output: {} }];
    const [finding] = await findingsOf(app, skill('user', "return ctx.call('tell@^1', {});", { examples }));
    expect(finding).toMatchObject({ rule: 'example_failed', message: expect.stringContaining('has risk') });
    await expect(app.use('list_versions', { name: 'planted' })).rejects.toMatchObject({ code: 'not_found' });
  });

  it('that fails is a ToolError there, too', async () => {
    const app = await testApp();
    await app.save();
    const body = 'try { return await ctx.tools.double({}); } catch ({ tool, code }) { return { tool, code }; }';
    const examples = [{ input: {}, output: { tool: 'double', code: 'bad_input' } }];
    expect(await saveSkill(app, 'user', body, { examples })).toMatchObject({ state: 'active' });
  });
});

describe('checking', () => {
  const spinning = (app: TestApp, signal: AbortSignal) =>
    app.outcome('save_skill', withExamples('for (;;);', { input: {}, output: {} }), { signal });

  it('ends when its caller cancels', async () => {
    const app = await testApp();
    await app.save();
    const caller = new AbortController();
    const saving = spinning(app, caller.signal);
    caller.abort();
    expect(await saving).toMatchObject({ status: 'failed', error: { code: 'cancelled' } });
    await expect(app.use('list_versions', { name: 'try_it' })).rejects.toMatchObject({ code: 'not_found' });
  });
});
