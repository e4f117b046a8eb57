import { describe, expect, it } from 'vitest';
import { type Language, parseProgram } from '../../src/code/parse.ts';
import { readProgram } from '../../src/code/program.ts';
import { findUses } from '../../src/code/uses.ts';

async function find(source: string, language: Language = 'javascript') {
  const { ast, findings } = await parseProgram(source, language);
  if (!ast || findings.length > 0) throw new Error(`the source of a test does not parse: ${findings[0]?.message}`);
  const { uses, findings: found } = findUses(await readProgram(ast));
  return { ...uses, uses: uses.tools, findings: found };
}

const inRun = (statements: string) => `export default async function run(input, ctx) {\n${statements}\n}`;
const named = async (source: string, language?: Language) => {
  const { uses, findings } = await find(source, language);
  expect(findings).toEqual([]);
  return uses.map(({ name, range }) => (range === undefined ? name : `${name}@${range}`)).sort();
};

describe('the tools that a program names', () => {
  it.each<[string, string, string[]]>([
    ['by member', 'await ctx.tools.a(input); ctx.tools["b"](1); ctx.tools[`c`](2);', ['a', 'b', 'c']],
    ['by optional member', 'ctx?.tools?.a?.(input);', ['a']],
    ['by ctx.call', "ctx.call('a', 1); ctx.call(`b`, 2); ctx['call']('c');", ['a', 'b', 'c']],
    ['by ctx.call with a range', "ctx.call('a@^1', 1); ctx.call('b@1.2.3');", ['a@^1', 'b@1.2.3']],
    ['by an alias of ctx', 'const c = ctx; let d = c; d.tools.a();', ['a']],
    ['by an alias of ctx.tools', 'const t = ctx.tools; t.a(); t.b();', ['a', 'b']],
    ['by an alias of a tool', 'const f = ctx.tools.a; return [1].map(f);', ['a']],
    ['by an alias of ctx.call', "const { call } = ctx; call('a'); const again = call; again('b');", ['a', 'b']],
    ['by destructuring', 'const { tools: { a, b: other }, tools } = ctx; a(); tools.c();', ['a', 'b', 'c']],
    ['by destructuring with a default', 'const { tools: t = {} } = ctx; t.a();', ['a']],
    ['by assignment', 'let t; t = ctx.tools; t.a();', ['a']],
    ['by a pattern that is assigned', 'let t; ({ tools: t } = ctx); t.a();', ['a']],
    ['by the value of an assignment', 'let c; (c = ctx).tools.a();', ['a']],
    ['by an assignment in a row', 'let c, d; c = d = ctx; c.tools.a(); d.tools.b();', ['a', 'b']],
    ['in a helper', 'const help = (c) => c.tools.a(); return help(ctx);', ['a']],
    [
      'in a helper that is handed the tools',
      'return help(1, ctx.tools); function help(n, t) { return t.a(n); }',
      ['a'],
    ],
    [
      'in a helper that calls itself',
      'return help(ctx, 3); function help(c, n) { c.tools.a(); if (n) help(c, n - 1); }',
      ['a'],
    ],
    ['in a helper with a pattern', 'return help(ctx); function help({ tools: { a } }) { return a(); }', ['a']],
    ['in a function called in place', 'return ((c) => c.tools.a())(ctx);', ['a']],
    ['in closures', 'return input.map((x) => ctx.tools.a(x));', ['a']],
    [
      'behind a condition',
      'const t = input.b ? ctx.tools : ctx.tools; (ctx || ctx).tools.b(); t.a(); if (ctx && ctx.tools) t.c();',
      ['a', 'b', 'c'],
    ],
    ['with its own methods', 'return ctx.tools.a.call(null, input);', ['a']],
  ])('are found %s', async (_, statements, expected) => {
    expect(await named(inRun(statements))).toEqual(expected);
  });

  it('are found whatever the parameters are called, and in patterns of them', async () => {
    expect(await named('export default (_, { tools: { a } }) => a();')).toEqual(['a']);
    expect(await named('export default ({ x }, kit = {}) => kit.tools.a(x);')).toEqual(['a']);
  });

  it('are found behind assertions of types', async () => {
    const source = inRun(
      '(ctx as any).tools.a(); ctx!.tools!.b(); (ctx satisfies unknown).tools.c(); (<any>ctx).tools.d();',
    );
    expect(await named(source, 'typescript')).toEqual(['a', 'b', 'c', 'd']);
  });

  it('are rather too many than too few where a variable changes what it stands for', async () => {
    expect(await named(inRun('let c = ctx; c.tools.a(); c = ctx.tools; c.b();'))).toEqual(['a', 'b', 'tools']);
  });

  it('are each listed once, with the place of the first use', async () => {
    const { uses } = await find(inRun('ctx.tools.a();\n  ctx.tools.a();\n  ctx.tools.b();'));
    expect(uses).toEqual([
      { name: 'a', line: 2, column: 1 },
      { name: 'b', line: 4, column: 3 },
    ]);
  });

  it.each(['toString', 'constructor', '__proto__', 'hasOwnProperty', 'now', 'progress'])(
    'are none where only ctx.%s is looked at',
    async (member) => {
      expect(await named(inRun(`const a = ctx.${member}; return String(a);`))).toEqual([]);
    },
  );

  it('may have the names of members of every object', async () => {
    expect(await named(inRun("ctx.tools.constructor(); ctx.tools.toString(); ctx.call('__proto__');"))).toEqual([
      '__proto__',
      'constructor',
      'toString',
    ]);
  });

  it('are none without a second parameter', async () => {
    expect(await named('export default (input) => input;')).toEqual([]);
  });
});

describe('a use that cannot be followed is refused', () => {
  it.each([
    ['a computed name', 'return ctx.tools[input.name]();', 'dynamic_tool'],
    ['a name that is put together', "return ctx.tools['a' + 'b']();", 'dynamic_tool'],
    ['a template with a part', `return ctx.call(\`a@\${input.v}\`);`, 'dynamic_tool'],
    ['a computed first argument', 'return ctx.call(input.name);', 'dynamic_tool'],
    ['no first argument', 'return ctx.call();', 'dynamic_tool'],
    ['arguments that are spread', 'return ctx.call(...input.all);', 'dynamic_tool'],
    ['a computed member of ctx', 'return ctx[input.what];', 'dynamic_tool'],
    ['a computed key of a pattern', 'const { [input.k]: a } = ctx.tools; return a();', 'dynamic_tool'],
    ['ctx that is returned', 'return ctx;', 'ctx_escapes'],
    ['ctx in an object', 'return { ctx };', 'ctx_escapes'],
    ['ctx in a list', 'const [c] = [ctx]; return c;', 'ctx_escapes'],
    ['ctx kept globally', 'globalThis.c = ctx;', 'ctx_escapes'],
    ['ctx kept in an object', 'input.c = ctx;', 'ctx_escapes'],
    ['ctx that is spread', 'const c = { ...ctx }; return c;', 'ctx_escapes'],
    ['the rest of ctx', 'const { tools, ...rest } = ctx; return rest.call;', 'ctx_escapes'],
    ['ctx handed to what is not known', 'return input.f(ctx);', 'ctx_escapes'],
    ['ctx handed to a built-in', 'return Reflect.get(ctx, "tools");', 'ctx_escapes'],
    ['ctx handed to made code', 'return new Function("c", "return c")(ctx);', 'ctx_escapes'],
    ['ctx.call by its own methods', 'return ctx.call.apply(null, ["a"]);', 'ctx_escapes'],
    ['ctx.call handed on', 'return ["a"].map(ctx.call);', 'ctx_escapes'],
    ['ctx.tools thrown', 'throw ctx.tools;', 'ctx_escapes'],
    ['ctx as a default', 'return ((c = ctx) => c.tools.a())();', 'ctx_escapes'],
    ['ctx assigned if nothing was there', 'let c; c ||= ctx; return c;', 'ctx_escapes'],
    ['ctx in a sequence', 'return (0, ctx).tools;', 'ctx_escapes'],
    ['ctx in a template tag', `return input.tag\`\${ctx}\`;`, 'ctx_escapes'],
    ['ctx as what is looped over', 'for (const k in ctx) input[k] = 1;', 'ctx_escapes'],
    ['ctx behind spread arguments', 'const f = (a, c) => c.tools.a(a); return f(...input.all, ctx);', 'ctx_escapes'],
    ['a helper that changes', 'let f = (c) => c.tools.a(); f = input.f; return f(ctx);', 'ctx_escapes'],
    ['ctx in the rest of a helper', 'const f = (...all) => all[0].tools.a(); return f(ctx);', 'ctx_escapes'],
    ['ctx in a class', 'class A { c = ctx; } return new A();', 'ctx_escapes'],
    ['ctx that is yielded', 'function* g() { yield ctx; } return [...g()];', 'ctx_escapes'],
  ])('%s', async (_, statements, rule) => {
    const { findings } = await find(inRun(statements));
    expect(findings.map((finding) => finding.rule)).toContain(rule);
    expect(findings[0]).toMatchObject({ severity: 'error', where: 'code', line: 2, remedy: expect.any(String) });
    expect(findings[0]?.message).toMatch(/^line 2: /);
  });

  it('in the rest of the parameters', async () => {
    const { findings } = await find('export default (input, ...rest) => rest[0].tools.a();');
    expect(findings).toMatchObject([{ rule: 'ctx_escapes', line: 1 }]);
  });

  it('two ranges of one tool, and a range beside none', async () => {
    const two = await find(inRun("ctx.call('a@^1');\nctx.call('a@^2');"));
    expect(two.findings).toMatchObject([{ rule: 'two_ranges', line: 3 }]);
    expect(two.findings[0]?.message).toContain('in line 2, as ^1');
    const one = await find(inRun("ctx.tools.a();\nctx.call('a@^2');"));
    expect(one.findings).toMatchObject([{ rule: 'two_ranges' }]);
  });

  it('while the same range twice is one use', async () => {
    expect(await named(inRun("ctx.call('a@^1');\nctx.call('a@^1');"))).toEqual(['a@^1']);
  });
});
