import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { insertQuestion } from '../../src/runs/questions.ts';
import { insertRun, type NewRun } from '../../src/runs/table.ts';
import { agent, type TestApp, testApp } from '../helpers/app.ts';
import { bare } from '../helpers/drafts.ts';
import { type CliResult, makeHome, runCli, until } from '../helpers/process.ts';
import { waitingTool } from '../helpers/test-tools.ts';

interface Place {
  app: TestApp;
  /** Runs `toolweaver run …` on the same home. */
  run(...args: string[]): Promise<CliResult>;
  insert(id: string, fields?: Partial<NewRun>): Promise<void>;
}

/** A server's ToolWeaver on a home, and the command line beside it. */
async function place(more: Parameters<typeof testApp>[0] = {}): Promise<Place> {
  const home = makeHome();
  const app = await testApp({ file: join(home, 'toolweaver.db'), ...more });
  const now = Date.now();
  return {
    app,
    run: (...args) => runCli(['run', ...args], { home }),
    async insert(id, fields = {}) {
      const request = { input: {}, principal: agent, via: 'mcp' } as const;
      const row = {
        id,
        tool: 'list_runs',
        request,
        state: 'done',
        value: 1,
        expiresAt: now + 60_000,
        ...fields,
      } as const;
      await app.database.write(async (trx) => {
        await insertRun(trx, row, now);
        if (row.state !== 'asks') return;
        const form = { type: 'object', properties: { yes: { type: 'boolean' } }, required: ['yes'] } as const;
        const question = {
          id: `q_${id}`,
          message: 'Go on?',
          form: { ...form, required: ['yes'] },
          expiresAt: now + 60_000,
        };
        await insertQuestion(trx, { tenant: 'local', id }, { ...question, for: 'anyone' }, now);
      });
    },
  };
}

const json = ({ stdout }: CliResult): Record<string, unknown> => JSON.parse(stdout);

describe('toolweaver run', () => {
  it('list shows kept calls, as columns and as JSON', async () => {
    const { run, insert } = await place();
    await insert('run_1');
    const [text, parsed] = await Promise.all([run('list'), run('list', '--json')]);
    expect(text.stdout).toMatch(/^ID +TOOL +STATUS +BY +STARTED\nrun_1 +list_runs +done +agent:test +\d{4}-/);
    expect(json(parsed)).toMatchObject({ runs: [{ run_id: 'run_1', status: 'done' }] });
  });

  it('show prints the result of a run, and its exit code says how it stands', async () => {
    const { run, insert } = await place();
    const lease = { leaseUntil: Date.now() + 60_000 };
    const states: [string, Partial<NewRun>, number][] = [
      ['run_done', { value: { rows: ['a\u001b[2J'] } }, 0],
      ['run_running', { state: 'running', ...lease }, 0],
      ['run_failed', { state: 'asks', leaseUntil: 1 }, 1],
      ['run_asks', { state: 'asks', ...lease }, 3],
    ];
    for (const [id, fields] of states) await insert(id, fields);
    const [unknown, ...shown] = await Promise.all(
      ['run_none', ...states.map(([id]) => id)].map((id) => run('show', id, '--json')),
    );
    expect(unknown).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('"not_found"') });
    for (const [index, [id, , code]] of states.entries()) {
      expect(shown[index]?.code, id).toBe(code);
      expect(json(shown[index] as CliResult)).toMatchObject({ run_id: id });
    }
    expect(json(shown[0] as CliResult)).toMatchObject({ value: { rows: ['a\u001b[2J'] } });
    expect(shown[0]?.stdout).not.toContain('\u001b');
    expect(json(shown[2] as CliResult)).toMatchObject({ error: { code: 'timed_out' } });
  });

  it('cancel stops what runs in another process, within two seconds', async () => {
    const waits = waitingTool();
    const { app, run } = await place({ moreTools: [waits.tool] });
    const { runId } = (await app.outcome('waits', {}, { backgroundAfterMs: 1 })) as { runId: string };
    const cancelled = await run('cancel', runId, '--json');
    const asked = Date.now();
    expect(cancelled.code).toBe(0);
    expect(json(cancelled)).toMatchObject({ status: 'cancelled', error: { code: 'cancelled' } });
    expect(await until(() => waits.runs[0]?.signal.aborted === true, 5_000)).toBe(true);
    expect(Date.now() - asked).toBeLessThan(2_000);
    const [again, shown] = await Promise.all([run('cancel', runId), run('show', runId)]);
    expect(again).toMatchObject({ code: 1, stderr: expect.stringMatching(/^error \[conflict\]/) });
    expect(shown.code).toBe(1);
  });

  it('wait ends with the run, or when its own time is over', async () => {
    const waits = waitingTool();
    const { app, run, insert } = await place({ moreTools: [waits.tool] });
    const begin = async () => ((await app.outcome('waits', {}, { backgroundAfterMs: 1 })) as { runId: string }).runId;
    const [good, bad] = [await begin(), await begin()];
    await insert('run_asks', { state: 'asks', leaseUntil: Date.now() + 60_000 });
    const [late, wrong] = await Promise.all([
      run('wait', good, '--timeout', '1s'),
      run('wait', good, '--timeout', 'soon'),
    ]);
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringMatching(/^error \[bad_input\]/) });
    expect(late).toMatchObject({ code: 1, stderr: expect.stringMatching(/^error \[timed_out\]/) });
    const [done, failed, asks] = [run('wait', good, '--json'), run('wait', bad, '--json'), run('wait', 'run_asks')];
    waits.finish({ status: 'done', value: { y: 2 } });
    waits.finish(new Error('meant to'));
    expect(await done).toMatchObject({ code: 0 });
    expect(json(await done)).toMatchObject({ status: 'done', value: { y: 2 } });
    expect(await failed).toMatchObject({ code: 1 });
    expect((await asks).code).toBe(3);
  });

  it('answer goes on with a run that asks, in whatever process it asked', async () => {
    const { app, run, insert } = await place();
    await insert('run_asks', { state: 'asks', leaseUntil: Date.now() + 60_000 });
    const [noJson, wrong, unknown] = await Promise.all([
      run('answer', 'run_asks', '{yes'),
      run('answer', 'run_asks', '{"yes":"perhaps"}'),
      run('answer', 'run_none', '{"yes":true}'),
    ]);
    expect(noJson).toMatchObject({ code: 2, stderr: expect.stringContaining('not JSON') });
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining('answer.yes') });
    expect(unknown).toMatchObject({ code: 1, stderr: expect.stringMatching(/^error \[not_found\]/) });
    const answered = await run('answer', 'run_asks', '{"yes":true}', '--json');
    expect(answered.code).toBe(0);
    // The run was a call of list_runs by the agent.
    expect(json(answered)).toMatchObject({ runs: [{ run_id: 'run_asks' }] });
    const again = await run('answer', 'run_asks', '{"yes":false}');
    expect(again).toMatchObject({ code: 1, stderr: expect.stringMatching(/^error \[conflict\]/) });
    expect(await app.use('get_run', { run_id: 'run_asks' })).toMatchObject({ status: 'done' });
  });

  it('answer to what asks a person wants a terminal, and is theirs there', async () => {
    const home = makeHome();
    const settings = { elicitationApproves: 'true' } as const;
    const app = await testApp({ file: join(home, 'toolweaver.db'), settings });
    await app.use('save_skill', bare());
    const { reviews } = (await app.use('list_reviews')) as { reviews: { id: string }[] };
    const asked = (await app.outcome('decide_review', { id: reviews[0]?.id })) as { runId: string };
    const args = ['run', 'answer', asked.runId, '{"decision":"approve"}'];
    const env = { TOOLWEAVER_ELICITATION_APPROVES: 'true' };
    const piped = await runCli(args, { home, env });
    expect(piped).toMatchObject({ code: 3, stderr: expect.stringMatching(/^error \[needs_person\]/) });
    const person = await runCli(args, { home, isTerminal: true, input: null });
    expect(person.stdout).toContain('"state": "approved"');
    const closed = (await app.use('list_reviews', { state: 'approved' })) as { reviews: { decisions: unknown[] }[] };
    expect(closed.reviews[0]?.decisions).toMatchObject([{ how: 'cli', principal: expect.stringMatching(/^person:/) }]);
  });

  it('without what it needs is wrong usage', async () => {
    const home = makeHome();
    const wrong = await Promise.all([['show'], ['answer', 'run_1']].map((args) => runCli(['run', ...args], { home })));
    expect(wrong.map(({ code }) => code)).toEqual([2, 2]);
  });
});
