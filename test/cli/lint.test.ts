import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { listedBuiltins } from '../../src/tools/index.ts';
import { draft } from '../helpers/app.ts';
import { makeHome, runCli } from '../helpers/process.ts';

describe('lint', () => {
  it('tells what the listed tools cost and what hosts would make of them, and is content when none drops any', async () => {
    const home = makeHome();
    writeFileSync(join(home, 'draft.json'), JSON.stringify(draft({ name: 'bare' })));
    await runCli(['save', join(home, 'draft.json')], { home });
    const [text, json, meta] = await Promise.all([
      runCli(['lint'], { home }),
      runCli(['lint', '--json'], { home }),
      runCli(['lint', '--json', '--expose', 'meta'], { home }),
    ]);
    expect([text.code, text.stderr]).toEqual([0, '']);
    const count = listedBuiltins.length + 1;
    expect(text.stdout).toMatch(new RegExp(`^${count} tools are listed, about \\d+ tokens in all`));
    expect(text.stdout).toMatch(/^warns +every host +bare +some of its parameters have no description$/m);
    const report = JSON.parse(json.stdout);
    expect(report).toMatchObject({ tools: count, tokens: expect.any(Number), costs: expect.any(Array) });
    expect(report.remarks).toContainEqual(expect.objectContaining({ effect: 'warns', tool: 'bare' }));
    // Only what is listed is looked at.
    expect(JSON.parse(meta.stdout).tools).toBe(listedBuiltins.length);
    expect(meta.stdout).not.toContain('bare');
  });
});
