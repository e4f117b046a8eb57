import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readDraft } from '../../src/cli/draft-file.ts';
import { temporaryFolder } from '../helpers/app.ts';

/** A folder with these files in it. */
function folderOf(files: Record<string, string>): string {
  const folder = join(temporaryFolder(), 'csv-summary');
  mkdirSync(folder);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

describe('a draft', () => {
  it('has the name of its folder and what SKILL.md says where skill.json says nothing', async () => {
    const skill = { 'skill.json': '{"tags":["csv"]}', 'skill.ts': 'export default 1', 'SKILL.md': 'no frontmatter' };
    expect(await readDraft(folderOf(skill))).toEqual({
      name: 'csv_summary',
      tags: ['csv'],
      language: 'typescript',
      code: 'export default 1',
    });
    const described = { ...skill, 'SKILL.md': '---\nname: other-name\ndescription: From the page.\n---\nBody.' };
    expect(await readDraft(folderOf(described))).toMatchObject({ name: 'other_name', description: 'From the page.' });
    const both = { ...described, 'skill.json': '{"description":"From the file."}' };
    expect(await readDraft(folderOf(both))).toMatchObject({ description: 'From the file.' });
  });

  it('has the language of its code', async () => {
    const script = folderOf({ 'skill.json': '{}', 'skill.js': 'export default 2' });
    expect(await readDraft(script)).toMatchObject({ language: 'javascript', code: 'export default 2' });
    const named = folderOf({ 'draft.yaml': 'code_file: run.ts\nname: a', 'run.ts': 'export default 3' });
    const draft = await readDraft(join(named, 'draft.yaml'));
    expect(draft).toEqual({ name: 'a', language: 'typescript', code: 'export default 3' });
    const python = folderOf({ 'skill.json': '{}', 'skill.py': 'def run(input, ctx):\n    return 4\n' });
    expect(await readDraft(python)).toMatchObject({ language: 'python', code: 'def run(input, ctx):\n    return 4\n' });
    const other = folderOf({ 'draft.yaml': 'code_file: run.py', 'run.py': 'x = 5' });
    expect(await readDraft(join(other, 'draft.yaml'))).toEqual({ language: 'python', code: 'x = 5' });
  });

  it.each<[string, Record<string, string>, string]>([
    ['a folder without skill.json', { 'skill.js': '' }, 'skill.json'],
    ['a folder without code', { 'skill.json': '{}' }, 'skill.ts'],
    ['JSON that is broken', { 'skill.json': '{"name":', 'skill.js': '' }, 'skill.json'],
    ['a list', { 'skill.json': '[1]', 'skill.js': '' }, 'no object'],
    ['a code file that is missing', { 'skill.json': '{"code_file":"none.js"}' }, 'none.js'],
    ['aliases without end', { 'skill.json': `a: &a [x]\nb: [${'*a, '.repeat(20)}]`, 'skill.js': '' }, 'skill.json'],
  ])('is refused from %s, and the file is named', async (_, files, named) => {
    await expect(readDraft(folderOf(files))).rejects.toMatchObject({
      code: 'bad_input',
      message: expect.stringContaining(named),
    });
  });
});
