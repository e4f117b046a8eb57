import { describe, expect, it } from 'vitest';
import { type Declaration, readCapabilities } from '../../src/code/capabilities.ts';
import { parseProgram } from '../../src/code/parse.ts';
import { readProgram } from '../../src/code/program.ts';
import { compareUses } from '../../src/code/undeclared.ts';
import { findUses } from '../../src/code/uses.ts';

async function compare(source: string, declaration: Declaration) {
  const { ast } = await parseProgram(source, 'typescript');
  if (!ast) throw new Error('the source of a test does not parse');
  const { uses, findings } = findUses(await readProgram(ast));
  const { declared } = readCapabilities(declaration, { allowAnyHost: true });
  return [...findings, ...compareUses(uses, declared)].map(({ rule, severity, line, message, remedy }) => ({
    rule,
    severity,
    line,
    text: `${message} ${remedy}`,
  }));
}

const inRun = (statements: string) => `export default async function run(input: any, ctx: any) {\n${statements}\n}`;

describe('a request', () => {
  it.each([
    ['a literal', "await ctx.fetch('https://api.github.com/user');"],
    ['a template', `await ctx.fetch(\`https://api.github.com/users/\${input.name}\`);`],
    ['a sum', "await ctx.fetch('https://api.github.com/users/' + input.name);"],
    ['a constant', `const base = 'https://api.github.com'; await ctx.fetch(\`\${base}/users/\${input.name}\`);`],
    ['an alias', "const { fetch } = ctx; await fetch('https://api.github.com/');"],
    ['a function that is handed fetch', "const get = (f: any) => f('https://api.github.com/'); await get(ctx.fetch);"],
    [
      'a function that is handed ctx',
      "await get(ctx); function get(c: any) { return c.fetch('https://api.github.com/'); }",
    ],
    ['another way of writing the host', "await ctx.fetch('HTTPS://API.GitHub.com:443\\\\x');"],
    ['a dot at the end of the host', "await ctx.fetch('https://api.github.com./');"],
    ['options without a method', "await ctx.fetch('https://api.github.com/', { headers: { a: 'b' } });"],
  ])('with %s is known, and allowed where it is declared', async (_, statement) => {
    const source = inRun(statement);
    expect(await compare(source, { net: ['GET api.github.com'] })).toEqual([]);
    expect(await compare(source, { net: ['POST api.github.com'] })).toMatchObject([
      { rule: 'undeclared_net', severity: 'error', line: 2 },
      { rule: 'unused_capability', severity: 'warning' },
    ]);
    const [finding] = await compare(source, {});
    expect(finding).toMatchObject({ rule: 'undeclared_net', severity: 'error', line: 2 });
    expect(finding?.text).toContain('net: ["GET api.github.com"]');
  });

  it.each([
    ['its method', "ctx.fetch('https://a.example/', { method: 'post' });", 'POST a.example'],
    [
      'its method, in a constant',
      "const o = { method: 'PUT' } as const; ctx.fetch('https://a.example/', o);",
      'PUT a.example',
    ],
    ['its port', "ctx.fetch('https://a.example:8443/');", 'GET a.example:8443'],
    ['an address', "ctx.fetch('http://2130706433/');", 'GET 127.0.0.1'],
    [
      'the host alone where the method is computed',
      "ctx.fetch('https://a.example/', { method: input.m });",
      '"a.example"',
    ],
    ['the host alone where the options are', "ctx.fetch('https://a.example/', input.o);", '"a.example"'],
  ])('is declared with %s', async (_, statement, wanted) => {
    expect((await compare(inRun(statement), {}))[0]?.text).toContain(wanted);
  });

  it.each([
    ['to a computed address', 'ctx.fetch(input.url);'],
    ['to a host that may go on', `ctx.fetch(\`https://api.github.com\${input.path}\`);`],
    ['to a host that is put together', "ctx.fetch('https://' + input.host + '/x');"],
    ['to what a variable has become', "let u = 'https://a.example/'; u = input.url; ctx.fetch(u);"],
    ['to a constant that refers to itself', 'const a = b + 1, b = a + 1; ctx.fetch(a);'],
    ['without an address', 'ctx.fetch();'],
  ])('%s wants a declaration, and is left to the host process with one', async (_, statement) => {
    expect(await compare(inRun(statement), {})).toMatchObject([{ rule: 'undeclared_net', severity: 'error', line: 2 }]);
    expect(await compare(inRun(statement), { net: ['a.example', 'b.example'] })).toEqual([]);
  });

  it.each(['/relative', 'ftp://a.example/', 'https://user:pw@a.example/', 'file:///etc/passwd'])(
    'can never go to %s',
    async (address) => {
      const findings = await compare(inRun(`ctx.fetch(${JSON.stringify(address)});`), { net: ['*'] });
      expect(findings.map(({ rule }) => rule)).toContain('bad_address');
    },
  );

  it.each([
    ['kept by its own methods', 'return ctx.fetch.bind(null);', 'ctx_escapes'],
    ['handed to what is not known', 'return input.map(ctx.fetch);', 'ctx_escapes'],
    ['returned', 'return ctx.fetch;', 'ctx_escapes'],
    ['named by a computed name', "return ctx['fe' + 'tch']('https://a.example/');", 'dynamic_tool'],
  ])('cannot be followed when fetch is %s', async (_, statement, rule) => {
    expect((await compare(inRun(statement), { net: ['a.example'] })).map((one) => one.rule)).toContain(rule);
  });
});

describe('a secret', () => {
  const statement = "ctx.fetch('https://a.example/', { headers: { authorization: `Bearer {{secret:TOKEN}}` } });";
  it('that a text names must be declared', async () => {
    expect(await compare(inRun(statement), { net: ['a.example'] })).toMatchObject([
      { rule: 'undeclared_secret', severity: 'error', line: 2 },
    ]);
    expect(await compare(inRun(statement), { net: ['a.example'], secrets: ['TOKEN'] })).toEqual([]);
  });

  it('that nothing names is a warning', async () => {
    const declaration = { net: ['a.example'], secrets: ['TOKEN', 'OTHER'] };
    expect(await compare(inRun(statement), declaration)).toMatchObject([
      { rule: 'unused_capability', severity: 'warning' },
    ]);
  });

  it.each([`\`{{secret:\${input.name}}}\``, "'{{secret:' + input.name + '}}'", "'{{secret:token}}'", "'{{secret:}}'"])(
    'may not be named like %s',
    async (text) => {
      expect(await compare(inRun(`return ${text};`), {})).toMatchObject([
        { rule: 'dynamic_secret', severity: 'error', line: 2 },
      ]);
    },
  );
});

describe('the use of files', () => {
  it.each<[string, string, 'read' | 'write']>([
    ['reading', "await ctx.files.read('a');", 'read'],
    ['listing, destructured', 'const { files: { list } } = ctx; await list();', 'read'],
    ['writing', "await ctx.files.write('a', 'b');", 'write'],
    ['both, under another name', "const f = ctx.files; await f.read('a'); await f.remove('a');", 'write'],
    ['what is not known', "await ctx.files.truncate('a');", 'write'],
  ])('must be declared: %s', async (_, statement, needed) => {
    const [finding] = await compare(inRun(statement), {});
    expect(finding).toMatchObject({ rule: 'undeclared_files', severity: 'error', line: 2 });
    expect(finding?.text).toContain(`files: "${needed}"`);
    expect(await compare(inRun(statement), { files: needed })).toEqual([]);
  });

  it('is not covered by less, and more than it is a warning', async () => {
    expect(await compare(inRun("ctx.files.write('a', '');"), { files: 'read' })).toMatchObject([
      { rule: 'undeclared_files' },
    ]);
    expect(await compare(inRun("ctx.files.read('a');"), { files: 'write' })).toMatchObject([
      { rule: 'unused_capability' },
    ]);
    expect(await compare(inRun('return 1;'), { files: 'read' })).toMatchObject([{ rule: 'unused_capability' }]);
  });

  it('cannot be followed through a computed name', async () => {
    expect(await compare(inRun('ctx.files[input.what]();'), { files: 'write' })).toMatchObject([
      { rule: 'dynamic_files', severity: 'error' },
      { rule: 'unused_capability' },
    ]);
  });
});

describe('tools', () => {
  it('need not be declared', async () => {
    expect(await compare(inRun('ctx.tools.a();'), {})).toEqual([]);
  });

  it('that are declared must be all, and no more', async () => {
    const findings = await compare(inRun('ctx.tools.a();\nctx.tools.b();'), { tools: ['a', 'c'] });
    expect(findings).toMatchObject([
      { rule: 'undeclared_tool', severity: 'error', line: 3 },
      { rule: 'unused_capability', severity: 'warning' },
    ]);
  });

  it('have one range', async () => {
    expect(await compare(inRun("ctx.call('a@^1');"), { tools: ['a@^2'] })).toMatchObject([
      { rule: 'two_ranges', line: 2 },
    ]);
    expect(await compare(inRun("ctx.call('a@^1');"), { tools: ['a@^1'] })).toEqual([]);
  });
});
