import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { listedBuiltins } from '../../src/tools/index.ts';
import { draft } from '../helpers/app.ts';
import { type CliResult, makeHome, runCli } from '../helpers/process.ts';

const home = makeHome();
const place = makeHome();
const cli = (...args: string[]): Promise<CliResult> => runCli(args, { home });
const json = async (...args: string[]) => JSON.parse((await cli(...args, '--json')).stdout);

function write(path: string, content: object | string): string {
  const file = join(place, path);
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
  return file;
}

const { code: doubleCode, ...doubleFields } = draft();
const { name: _, description, ...schemas } = doubleFields;

beforeAll(async () => {
  const saved = await cli('save', write('double.json', draft()));
  if (saved.code !== 0) throw new Error(saved.stderr);
});

describe.concurrent('save', () => {
  it('takes one YAML file that names the file of its code', async () => {
    write('code/half.js', 'export default (input) => ({ y: input.x / 2 });');
    const { input_schema, output_schema } = schemas;
    const examples = [{ input: { x: 4 }, output: { y: 2 } }];
    const fields = { name: 'half_of', description: 'Halves a number.', input_schema, output_schema, examples };
    const lines = Object.entries(fields).map(([key, value]) => `${key}: ${JSON.stringify(value)}`);
    const file = write('half.yaml', ['# by hand', 'code_file: code/half.js', ...lines].join('\n'));
    const saved = await cli('save', file);
    expect(saved).toMatchObject({ code: 0, stdout: expect.stringMatching(/^Saved half_of 1\.0\.0: active/) });
  });

  it.each(['', 'SKILL.md'])('takes a folder of skill.json, its code and SKILL.md, by its %s', async (inside) => {
    const folder = inside === '' ? 'from-folder' : 'from-skill-md';
    write(`${folder}/SKILL.md`, `---\nname: ${folder}\ndescription: Doubles a number from a folder.\n---\n# How\n`);
    write(`${folder}/skill.json`, schemas);
    write(`${folder}/skill.js`, String(doubleCode));
    const saved = await json('save', join(place, folder, inside));
    expect(saved).toMatchObject({ name: folder.replaceAll('-', '_'), state: 'active', examples: '1 of 1 passed' });
  });

  it('says what is wrong with a place that holds no skill, as wrong usage', async () => {
    write('empty/skill.json', schemas);
    const results = await Promise.all([cli('save', join(place, 'nowhere')), cli('save', join(place, 'empty'))]);
    for (const { code, stdout, stderr } of results) {
      expect([code, stdout]).toEqual([2, '']);
      expect(stderr).toMatch(/^error \[bad_input\] \/.*\nhint: /);
    }
  });

  it('ends with 1 and every finding when the skill is refused', async () => {
    const { code, stdout, stderr } = await cli(
      'save',
      write('bad.json', draft({ name: 'Bad Name', code: 'export default (' })),
    );
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^error \[check_failed\] /);
    expect(stderr.match(/^- error in /gm)?.length).toBeGreaterThanOrEqual(2);
  });

  it('ends with 3 when a person must decide first, and so does calling it', async () => {
    const saved = await cli('save', write('waits.json', draft({ name: 'waits', examples: [] })));
    expect(saved).toMatchObject({ code: 3, stdout: expect.stringMatching(/toolweaver review approve \w+/) });
    expect(await cli('call', 'waits', '{"x":1}')).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/^error \[not_approved\]/),
    });
  });
});

describe.concurrent('call', () => {
  it('prints what came of it, from an argument or from stdin', async () => {
    const [argument, input] = await Promise.all([
      cli('call', 'double', '{"x":21}'),
      runCli(['call', 'double', '-', '--json'], { home, input: '{"x":4}\n' }),
    ]);
    expect([argument.code, JSON.parse(argument.stdout)]).toEqual([0, { y: 42 }]);
    expect([input.code, JSON.parse(input.stdout)]).toEqual([0, { y: 8 }]);
    expect([argument.stderr, input.stderr]).toEqual(['', '']);
  });

  it('ends with 2 for an input that is no JSON or does not fit, with 1 for an unknown tool', async () => {
    const [broken, wrong, unknown] = await Promise.all([
      cli('call', 'double', '{x:1}'),
      cli('call', 'double', '{"x":"one"}'),
      cli('call', 'dubble', '{}', '--json'),
    ]);
    expect(broken).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('not JSON') });
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining('input.x') });
    expect([unknown.code, unknown.stdout, JSON.parse(unknown.stderr).error.code]).toEqual([1, '', 'unknown_tool']);
  });
});

describe.concurrent('what is saved', () => {
  it('is listed, built-ins first', async () => {
    const [text, { tools }] = await Promise.all([cli('list'), json('list')]);
    expect(text.stdout).toMatch(/^NAME +VERSION +RISK +DESCRIPTION\n/);
    expect(text.stdout).toMatch(/^double +1\.0\.0 +none +Doubles a number\.$/m);
    const names = tools.map((tool: { name: string }) => tool.name);
    expect(names.slice(0, listedBuiltins.length)).toEqual(listedBuiltins);
    expect(tools).toContainEqual({ name: 'double', kind: 'skill', version: '1.0.0', risk: 'none', description });
  });

  it('is found by words, and what fits nothing says so', async () => {
    const [found, nothing] = await Promise.all([json('search', 'doubles', 'a', 'number'), cli('search', 'xylophone')]);
    expect(found.hits.map((hit: { name: string }) => hit.name)).toContain('double');
    expect(nothing).toMatchObject({ code: 0, stdout: expect.stringMatching(/^No tool/) });
  });

  it('is shown with its source and its versions', async () => {
    const [text, shown, versions, none] = await Promise.all([
      cli('show', 'double'),
      json('show', 'double@1.0.0'),
      json('versions', 'double'),
      cli('versions', 'nothing_of_this_name'),
    ]);
    expect(text.stdout).toContain(String(doubleCode));
    expect(shown).toMatchObject({ name: 'double', version: '1.0.0', code: doubleCode });
    expect(versions).toMatchObject({ name: 'double', versions: [{ version: '1.0.0', state: 'active' }] });
    expect([none.code, none.stderr]).toEqual([1, expect.stringMatching(/^error \[not_found\]/)]);
  });
});

describe.concurrent('the command itself', () => {
  it('suggests what was meant, and ends with 2 for wrong usage', async () => {
    const [command, sub, none] = await Promise.all([cli('lst'), cli('review', 'aprove'), cli()]);
    expect(command.stderr).toContain('Did you mean list?');
    expect(sub.stderr).toContain('Did you mean approve?');
    expect(none.stderr).toContain('Usage: toolweaver');
    for (const result of [command, sub, none]) expect([result.code, result.stdout]).toEqual([2, '']);
  });

  it('helps with an example', async () => {
    const { code, stdout } = await cli('call', '--help');
    expect([code, stdout]).toEqual([0, expect.stringMatching(/Example:\n {2}toolweaver call /)]);
  });

  it('ends quietly when nobody reads what it prints', async () => {
    const result = await runCli(['list'], { home, isUnread: true });
    expect(result).toMatchObject({ code: 0, stderr: '' });
  });
});

describe('what others wrote', () => {
  const source = String.raw`"\u001b[2J\u001b]0;title\u0007 \u009b31m \u202e evil"`;
  const tricks: string = JSON.parse(source);

  it('cannot send escape sequences to a terminal, nor pass for a line of ours', async () => {
    const own = makeHome();
    const code = `export default (input, ctx) => { ctx.progress(1, 2, ${source}); return { text: ${source} }; }`;
    const description = 'Harmless.\nforged  1.0.0  none  Safe.';
    const fields = { name: 'tricky', description, output_schema: undefined, examples: [], code };
    const env = { TOOLWEAVER_APPROVAL: 'auto' };
    await runCli(['save', write('tricky.json', draft(fields))], { home: own, env });

    const results = await Promise.all([
      runCli(['search', 'harmless'], { home: own }),
      runCli(['show', 'tricky'], { home: own }),
      runCli(['call', 'tricky', '{"x":1}', '--json'], { home: own }),
      runCli(['call', 'tricky', '{"x":1}'], { home: own, isTerminal: true }),
    ]);
    const [search] = results;
    const [json, terminal] = results.slice(-2);
    expect(JSON.parse(json?.stdout ?? '')).toEqual({ text: tricks });
    expect(search?.stdout).toMatch(/^tricky .*Harmless\. forged/m);
    expect(search?.stdout).not.toMatch(/^forged/m);
    for (const { stdout, stderr } of results) {
      // Only our own: back to the start of the line, and clear what is behind.
      const others = ['\r', '\u001b[K', '\n'].reduce((text, ours) => text.replaceAll(ours, ''), stdout + stderr);
      expect(others).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    }
    expect(terminal?.stdout).toContain('1/2');
  });
});
