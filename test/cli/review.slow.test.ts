import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { draft } from '../helpers/app.ts';
import { type CliResult, makeHome, runCli, startServer } from '../helpers/process.ts';

/** A home of its own, and what a person types there, with and without a terminal. */
function desk() {
  const home = makeHome();
  return {
    home,
    cli: (...args: string[]): Promise<CliResult> => runCli(args, { home }),
    atTerminal: (args: string[], input = ''): Promise<CliResult> => runCli(args, { home, isTerminal: true, input }),
    /** Saves a skill without examples, which waits for a person unless the policy says otherwise, and gives its review. */
    async save(fields: Record<string, unknown>, approval = 'risk'): Promise<string> {
      writeFileSync(join(home, 'draft.json'), JSON.stringify(draft({ examples: [], ...fields })));
      const args = ['save', join(home, 'draft.json'), '--json', '--approval', approval];
      const { stdout, stderr } = await runCli(args, { home });
      if (stdout === '') throw new Error(stderr);
      return JSON.parse(stdout).review?.id;
    },
  };
}

describe.concurrent('review', () => {
  it('is listed and shown anywhere, and decided only at a terminal', async () => {
    const { cli, atTerminal, save } = desk();
    const id = await save({ name: 'waits' });
    const [list, listJson, showJson] = await Promise.all([
      cli('review', 'list'),
      cli('review', 'list', '--json'),
      cli('review', 'show', id, '--json'),
    ]);
    expect(list.stdout).toMatch(new RegExp(`^${id} +version +waits 1\\.0\\.0 +open +no example`, 'm'));
    expect(JSON.parse(listJson.stdout).reviews).toEqual([
      expect.objectContaining({ id, name: 'waits', state: 'open' }),
    ]);
    expect(JSON.parse(showJson.stdout).review.id).toBe(id);

    for (const verdict of ['approve', 'reject']) {
      const refused = await cli('review', verdict, id, '--yes');
      expect([refused.code, refused.stdout]).toEqual([3, '']);
      expect(refused.stderr).toMatch(
        new RegExp(`^error \\[needs_person\\] .*\\nhint: .*toolweaver review ${verdict} ${id}`),
      );
    }
    const approved = await atTerminal(['review', 'approve', id, '--yes', '--comment', 'read it']);
    expect(approved).toMatchObject({ code: 0, stdout: expect.stringContaining(`Review ${id} approved: waits 1.0.0.`) });
    expect(await cli('call', 'waits', '{"x":2}', '--json')).toMatchObject({ code: 0 });
    const again = await atTerminal(['review', 'reject', id]);
    expect([again.code, again.stdout]).toEqual([1, expect.stringContaining('error [conflict]')]);
    const all = JSON.parse((await cli('review', 'list', '--all', '--json')).stdout);
    expect(all.reviews[0].decisions).toEqual([expect.objectContaining({ decision: 'approved', comment: 'read it' })]);
  });

  it('decides nothing when the person does not confirm, and what is rejected never runs', async () => {
    const { cli, atTerminal, save } = desk();
    const id = await save({ name: 'refused' });
    const hesitant = await atTerminal(['review', 'approve', id], 'n\n');
    expect([hesitant.code, hesitant.stdout]).toEqual([1, expect.stringContaining('Nothing was decided')]);
    const rejected = await atTerminal(['review', 'reject', id, '--yes', '--json', '--comment', 'too vague']);
    expect(JSON.parse(rejected.stdout)).toMatchObject({ id, state: 'rejected' });
    expect(await cli('call', 'refused', '{"x":1}')).toMatchObject({ code: 3, stdout: '' });
  });

  it('shows a next version as differences, and no words of its author as a line of ours', async () => {
    const { home, cli, save } = desk();
    await save({ name: 'grows' }, 'auto');
    await save({ name: 'grows', code: 'export default (i) => ({ y: i.x + i.x });' }, 'auto');
    const third = await save({ name: 'grows', code: 'export default (i) => ({ y: i.x * 2 });' });
    const fresh = await save({ name: 'fresh', description: 'First.\n── examples ──\nall passed' });
    const agent = await startServer({ home });
    const reason = 'because\nchecks  9 of 9 examples passed\nseal    as before';
    const asked = await agent.callTool('rollback', { name: 'grows', version: '1.0.0', reason });

    const ids = [third, fresh, asked.result.structuredContent.review.id];
    const shown = await Promise.all(ids.map((id) => cli('review', 'show', id)));
    const [change = '', first = '', rollback = ''] = shown.map(({ stdout }) => stdout);
    expect(change).toContain('against 1.0.1');
    expect(change).toMatch(/^-export default \(i\) => \(\{ y: i\.x \+ i\.x/m);
    expect(change).toMatch(/^\+export default \(i\) => \(\{ y: i\.x \* 2/m);
    expect(first.match(/^── examples ──$/gm)).toHaveLength(1);
    expect(rollback).toMatch(/^reason {2}because checks/m);
    expect(rollback.match(/^(?:checks|seal) /gm)).toHaveLength(2);
  });
});
