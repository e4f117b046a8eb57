import { describe, expect, it } from 'vitest';
import { person, type TestApp, testApp } from '../helpers/app.ts';
import { findingsOf, lenient, saveSkill, skill } from '../helpers/drafts.ts';

describe('a skill that uses another', () => {
  const ways = {
    'by its member': 'return ctx.tools.tell(input);',
    'by call': "return ctx.call('tell', input);",
    'by call with a range': "return ctx.call('tell@^1', input);",
    'by an alias': 'const t = ctx.tools; return t.tell(input);',
    'by destructuring': 'const { tools: { tell } } = ctx; return tell(input);',
    'by a helper': 'return help(ctx);\nfunction help(c) { return c.tools.tell({}); }',
  };
  it('has it locked and calls it, however it is named', async () => {
    const app = await testApp(lenient);
    const { seal } = await saveSkill(app, 'tell', 'return { n: 1 };');
    for (const [way, body] of Object.entries(ways)) {
      await saveSkill(app, 'user', body);
      expect(await app.use('user'), way).toEqual({ n: 1 });
      expect(await app.use('describe_tool', { name: 'user' }), way).toMatchObject({
        risk: 'none',
        lock: { tell: { version: '1.0.0', seal } },
        uses: [{ name: 'tell', range: expect.stringMatching(/^\^1/) }],
      });
    }
  });

  it('does not notice a later version of it until it is saved again', async () => {
    const app = await testApp(lenient);
    await saveSkill(app, 'tell', 'return { n: 1 };');
    await saveSkill(app, 'user', 'return ctx.tools.tell({});');
    await saveSkill(app, 'tell', 'return { n: 2 };');
    expect(await app.use('tell')).toEqual({ n: 2 });
    expect(await app.use('user')).toEqual({ n: 1 });
    const again = await saveSkill(app, 'user', 'return ctx.tools.tell({});');
    expect(again).toMatchObject({ changed: true, version: '1.0.1' });
    expect(await app.use('user')).toEqual({ n: 2 });
  });

  it('has the version of its lock whatever range its code asks for at run time', async () => {
    const app = await testApp(lenient);
    await saveSkill(app, 'tell', 'return { n: 1 };');
    await saveSkill(app, 'tell', 'return { n: 2 };');
    await saveSkill(app, 'user', "ctx.call('tell@1.0.0', {}); return eval('ctx.call(\"tell@1.0.1\", {})');");
    expect(await app.use('user')).toEqual({ n: 1 });
  });

  it('of another one uses what each was locked to, all the way down', async () => {
    const app = await testApp(lenient);
    await saveSkill(app, 'a', 'return { n: 1 };');
    await saveSkill(app, 'b', 'return ctx.tools.a({});');
    await saveSkill(app, 'a', 'return { n: 2 };');
    await saveSkill(app, 'c', 'return { b: await ctx.tools.b({}), a: await ctx.tools.a({}) };');
    expect(await app.use('c')).toEqual({ b: { n: 1 }, a: { n: 2 } });
  });

  it.each([
    ['a computed name', 'return ctx.tools[input.name]({});', 'dynamic_tool'],
    ['ctx that goes where it cannot be followed', 'return input.items.map((x) => [ctx, x]);', 'ctx_escapes'],
    ['two ranges of one tool', "ctx.call('tell@^1', {}); return ctx.call('tell@1.0.0', {});", 'two_ranges'],
    ['a tool that does not exist', 'return ctx.tools.nothing({});', 'unknown_tool'],
    ['a tool with the name of a member of every object', 'return ctx.tools.constructor({});', 'unknown_tool'],
    ['a range that is none', "return ctx.call('tell@latest', {});", 'bad_range'],
    ['a range that nothing fits', "return ctx.call('tell@^2', {});", 'unusable_version'],
    ['a tool that can reach any', "return ctx.tools.call_tool({ name: 'tell' });", 'dynamic_tool'],
    ['the read-only twin of that', "return ctx.tools.call_read_tool({ name: 'tell' });", 'dynamic_tool'],
    ['a range of a built-in tool', "return ctx.call('get_run@^1', {});", 'bad_range'],
  ])('may not use %s', async (_, body, rule) => {
    const app = await testApp(lenient);
    await saveSkill(app, 'tell', 'return { n: 1 };');
    const findings = await findingsOf(app, skill('user', body));
    expect(findings).toMatchObject([{ rule, severity: 'error', where: 'code', line: 2 }]);
    expect(findings[0]?.message).toContain('line 2');
  });

  it.each(['ctx.toString()', 'String(ctx.constructor)', 'typeof ctx.__proto__'])(
    'is none for looking at %s',
    async (expression) => {
      const app = await testApp(lenient);
      expect(await saveSkill(app, 'user', `return { a: ${expression} };`)).toMatchObject({ state: 'active' });
    },
  );

  it('may not use one that only waits, or was rejected', async () => {
    const app = await testApp();
    await saveSkill(app, 'tell', 'return { n: 1 };');
    const user = skill('user', 'return ctx.tools.tell({});');
    expect(await findingsOf(app, user)).toMatchObject([
      { rule: 'unusable_version', message: expect.stringContaining('1.0.0 (pending)') },
    ]);
    await app.decide('rejected');
    expect(await findingsOf(app, user)).toMatchObject([{ message: expect.stringContaining('1.0.0 (rejected)') }]);
  });
});

describe('a ring of skills', () => {
  it('of one is refused at the first save and later', async () => {
    const app = await testApp(lenient);
    const own = skill('tell', 'if (input.a) return {};\nreturn ctx.tools.tell({ a: 1 });');
    const ring = { rule: 'dependency_cycle', line: 3, message: 'line 3: it would call itself: tell → tell' };
    expect(await findingsOf(app, own)).toMatchObject([ring]);
    await saveSkill(app, 'tell', 'return { n: 1 };');
    expect(await findingsOf(app, own)).toMatchObject([ring]);
  });

  it('of three is refused, and printed as a ring with the place of the call that closes it', async () => {
    const app = await testApp(lenient);
    await saveSkill(app, 'other', 'return {};');
    await saveSkill(app, 'a', 'return { n: 1 };');
    await saveSkill(app, 'b', 'return ctx.tools.a({});');
    await saveSkill(app, 'c', 'return ctx.tools.b({});');
    const findings = await findingsOf(app, skill('a', 'await ctx.tools.other({});\nreturn ctx.tools.c({});'));
    expect(findings).toMatchObject([
      { rule: 'dependency_cycle', line: 3, message: 'line 3: it would call itself: a → c → b → a' },
    ]);
  });
});

describe('what a skill did not name', () => {
  const tricks = {
    'by made code': "return eval('ctx.tools.secret_one({})');",
    'by the arguments of run': 'return arguments[1].tools.secret_one({});',
    'by a name put together at run time': 'return eval(\'ctx.tools["secret" + "_one"]({})\');',
    'by ctx.call': 'return eval(\'ctx.call("secret_one", {})\');',
    'by ctx.call with a version': 'return eval(\'ctx.call("secret_one@1.0.0", {})\');',
    'by call_tool': 'return eval(\'ctx.tools.call_tool({ name: "secret_one" })\');',
    'by what is kept globally': "globalThis.kept = eval('ctx'); return globalThis.kept.tools.secret_one({});",
    'by a constructor': "return (() => {}).constructor('c', 'return c.tools.secret_one({})')(eval('ctx'));",
  };
  it('it cannot call, by no trick', async () => {
    const app = await testApp(lenient);
    await saveSkill(app, 'secret_one', 'return { secret: 1 };');
    for (const [trick, body] of Object.entries(tricks)) {
      await saveSkill(app, 'user', body);
      await expect(app.use('user'), trick).rejects.toMatchObject({
        code: 'skill_failed',
        details: { name: 'ToolError', code: 'not_allowed' },
      });
    }
  });

  it('it cannot call in its examples either, not even where they have a stub for it', async () => {
    const app = await testApp(lenient);
    await saveSkill(app, 'secret_one', 'return { secret: 1 };');
    const stubs = { secret_one: { secret: 2 }, rollback: {} };
    for (const name of ['secret_one', 'rollback']) {
      const body = `return eval('ctx.tools.${name}({})');`;
      const findings = await findingsOf(app, skill('user', body, { examples: [{ input: {}, output: {}, stubs }] }));
      expect(findings.find(({ rule }) => rule === 'example_failed')?.message).toContain('not granted');
    }
  });

  it('it cannot call by a name that every object has', async () => {
    const app = await testApp(lenient);
    await saveSkill(app, 'constructor', 'return { n: 1 };');
    await saveSkill(app, 'tell', 'return {};');
    await saveSkill(app, 'user', "ctx.tools.tell; return eval('ctx.tools.constructor({})');");
    await expect(app.use('user')).rejects.toMatchObject({ details: { code: 'not_allowed' } });
    const findings = await findingsOf(
      app,
      skill('other', "return eval('ctx.tools.constructor({})');", { examples: [{ input: {}, output: { n: 1 } }] }),
    );
    expect(findings.map(({ rule }) => rule)).toContain('example_failed');
  });

  it('but it can call that name where it was named', async () => {
    const app = await testApp(lenient);
    await saveSkill(app, 'constructor', 'return { n: 1 };');
    await saveSkill(app, 'user', 'return ctx.tools.constructor({});');
    await saveSkill(app, 'constructor', 'return { n: 2 };');
    expect(await app.use('user')).toEqual({ n: 1 });
  });
});

describe('nested calls', () => {
  const chain = async (app: TestApp, length: number) => {
    await saveSkill(app, 's0', 'return { depth: 0 };');
    for (let i = 1; i <= length; i++) {
      await saveSkill(app, `s${i}`, `const { depth } = await ctx.tools.s${i - 1}({});\nreturn { depth: depth + 1 };`);
    }
  };

  it('go eight deep, and no deeper', async () => {
    const app = await testApp(lenient);
    await chain(app, 9);
    expect(await app.use('s8')).toEqual({ depth: 8 });
    await expect(app.use('s9')).rejects.toMatchObject({
      code: 'skill_failed',
      message: expect.stringMatching(/limit_exceeded.*nest deeper than 8/),
    });
  });

  it('never have the scope to approve, not even when a person calls', async () => {
    const app = await testApp();
    await saveSkill(app, 'tell', 'return { n: 1 };');
    await app.decide('approved');
    await saveSkill(app, 'tell', 'return { n: 2 };');
    await app.decide('approved');
    const body = "return ctx.tools.rollback({ name: 'tell', version: '1.0.0', reason: 'because' });";
    await saveSkill(app, 'go_back', body);
    await app.decide('approved');
    expect(await app.use('go_back', {}, { principal: person })).toMatchObject({ state: 'requested' });
    expect(await app.use('tell')).toEqual({ n: 2 });
  });

  it('that fail are a ToolError with tool, code and message, which code may catch', async () => {
    const app = await testApp(lenient);
    await saveSkill(app, 'fails', "throw new Error('it broke');");
    const body = `try { await ctx.tools.fails({}); } catch (error) {
      return { is: error instanceof ToolError, name: error.name, tool: error.tool, code: error.code, message: error.message };
    }`;
    await saveSkill(app, 'user', body);
    expect(await app.use('user')).toEqual({
      is: true,
      name: 'ToolError',
      tool: 'fails',
      code: 'skill_failed',
      message: expect.stringContaining('it broke'),
    });
    await saveSkill(app, 'careless', 'return ctx.tools.fails({});');
    await expect(app.use('careless')).rejects.toMatchObject({
      code: 'skill_failed',
      message: expect.stringContaining('it broke'),
      details: { name: 'ToolError', tool: 'fails', code: 'skill_failed' },
    });
  });

  it('with an input that does not fit fail with bad_input', async () => {
    const app = await testApp(lenient);
    await app.save({ examples: [] });
    await saveSkill(
      app,
      'user',
      "try { await ctx.tools.double({ x: 'no' }); } catch ({ code, message }) { return { code, message }; }",
    );
    expect(await app.use('user')).toEqual({
      code: 'bad_input',
      message: expect.stringContaining('input.x must be a number'),
    });
  });
});
