import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { distFile, packageRoot } from '../../src/package.ts';
import { draft, testApp } from '../helpers/app.ts';
import { findingsOf, lenient, skill } from '../helpers/drafts.ts';
import { makeHome } from '../helpers/process.ts';

const wrong = 'export default async function run(input, ctx) {\n  return { y: input.z };\n}';

describe('the types of a draft', () => {
  it('that are wrong are an error in TypeScript, with line and column, and nothing is kept', async () => {
    const app = await testApp(lenient);
    const typed = draft({ code: wrong, language: 'typescript', examples: [] });
    expect(await findingsOf(app, typed)).toMatchObject([
      { rule: 'types', severity: 'error', where: 'code', line: 2, column: 21, message: expect.stringContaining("'z'") },
    ]);
    expect(await app.database.read.selectFrom('versions').selectAll().execute()).toEqual([]);
  });

  it('that are wrong are a warning in JavaScript, beside what its examples say', async () => {
    const app = await testApp(lenient);
    expect(await app.save({ code: wrong, examples: [] })).toMatchObject({
      state: 'active',
      findings: [{ rule: 'types', severity: 'warning', line: 2, column: 21 }],
    });
    const rules = (await findingsOf(app, draft({ code: wrong }))).map(({ rule }) => rule);
    expect(rules).toEqual(['types', 'example_output']);
  });

  it('are held against the schemas of the tools that it calls, as they are locked', async () => {
    const app = await testApp(lenient);
    await app.save();
    await app.save({
      input_schema: { type: 'object', properties: { w: { type: 'string' } }, required: ['w'] },
      examples: [],
      code: 'export default () => ({ y: 1 });',
    });
    const calls = (range: string, input: string) =>
      skill('user', `return ctx.call('double@${range}', ${input});`, { language: 'typescript' });
    expect(await findingsOf(app, calls('^1', "{ w: 'a' }"))).toMatchObject([{ rule: 'types', line: 2 }]);
    expect(await findingsOf(app, calls('^2', '{ x: 1 }'))).toMatchObject([{ rule: 'types', line: 2 }]);
    for (const [range, input] of [
      ['^1', '{ x: 1 }'],
      ['^2', "{ w: 'a' }"],
    ] as const)
      expect(await app.use('save_skill', calls(range, input))).toMatchObject({ findings: [] });
  });
});

describe('validate_skill', () => {
  it.each([
    ['syntax', []],
    ['types', ['types']],
    ['exec', ['types', 'example_output']],
  ])('looks as far as %s', async (level, rules) => {
    const app = await testApp(lenient);
    const judged = (await app.use('validate_skill', { ...draft({ code: wrong, language: 'typescript' }), level })) as {
      findings: { rule: string }[];
    };
    expect(judged).toMatchObject({
      level,
      valid: rules.length === 0,
      examples: level === 'exec' ? [{ passed: false }] : [],
    });
    expect(judged.findings.map(({ rule }) => rule)).toEqual(rules);
  });

  it('knows no other level', async () => {
    const app = await testApp(lenient);
    await expect(app.use('validate_skill', { ...draft(), level: 'all' })).rejects.toMatchObject({ code: 'bad_input' });
  });
});

it('where typescript is not installed a skill is saved all the same, and its author is told in a sentence', () => {
  const installed = makeHome();
  cpSync(join(distFile('cli/main.js'), '../..'), join(installed, 'dist'), { recursive: true });
  cpSync(join(packageRoot, 'package.json'), join(installed, 'package.json'));
  mkdirSync(join(installed, 'node_modules'));
  for (const name of ['esbuild', 'better-sqlite3', 'bindings', 'file-uri-to-path'])
    symlinkSync(join(packageRoot, 'node_modules', name), join(installed, 'node_modules', name));
  const home = makeHome();
  const file = join(home, 'draft.json');
  writeFileSync(file, JSON.stringify(draft()));
  const run = (...args: string[]) => {
    const env = { PATH: process.env.PATH ?? '', HOME: home, TOOLWEAVER_HOME: home };
    return execFileSync(process.execPath, [join(installed, 'dist/cli/main.js'), ...args, '--json'], {
      env,
      encoding: 'utf8',
      stdio: 'pipe',
    });
  };
  expect(JSON.parse(run('save', file))).toMatchObject({
    state: 'active',
    findings: [
      {
        rule: 'types_unchecked',
        severity: 'warning',
        message: 'The type check needs the package typescript, which is not installed or did not load.',
        remedy: 'Run: npm install typescript',
      },
    ],
  });
});
