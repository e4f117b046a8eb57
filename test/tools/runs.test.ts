import { describe, expect, it } from 'vitest';
import { createPrincipal } from '../../src/access/principals.ts';
import { insertRun, type NewRun } from '../../src/runs/table.ts';
import { agent, person, type TestApp, testApp } from '../helpers/app.ts';
import { askingTool, waitingTool } from '../helpers/test-tools.ts';

const eve = createPrincipal('agent:eve', 'agent', ['author']);

interface Listed {
  run_id: string;
  status: string;
}
const list = async (app: TestApp, input: object = {}, principal = agent): Promise<Listed[]> =>
  ((await app.use('list_runs', input, { principal })) as { runs: Listed[] }).runs;

const insert = (app: TestApp, id: string, fields: Partial<NewRun> = {}): Promise<boolean> => {
  const now = Date.now();
  const request = { input: { text: 'hidden' }, principal: agent, via: 'mcp' } as const;
  const row = { id, tool: 'double', request, state: 'done', value: 1, expiresAt: now + 60_000, ...fields } as const;
  return app.database.write((trx) => insertRun(trx, row, now));
};

describe('list_runs', () => {
  it('shows an agent its own runs and a person those of all, newest first', async () => {
    const waits = waitingTool();
    const app = await testApp({ moreTools: [waits.tool] });
    const begin = async (principal = agent) =>
      ((await app.outcome('waits', {}, { principal, backgroundAfterMs: 1 })) as { runId: string }).runId;
    const ids = [await begin(), await begin(eve), await begin()];
    expect((await list(app)).map(({ run_id }) => run_id).sort()).toEqual([ids[0], ids[2]].sort());
    expect(await list(app, {}, eve)).toMatchObject([{ run_id: ids[1], principal: eve.id, tool: 'waits' }]);
    expect(await list(app, {}, person)).toHaveLength(3);
    for (const _ of ids) waits.finish();
  });

  it('shows only those of a status, and at most so many', async () => {
    const app = await testApp({ moreTools: [askingTool().tool] });
    for (const id of ['run_1', 'run_2', 'run_3']) await insert(app, id);
    await app.outcome('asks');
    expect(await list(app, { limit: 2 })).toHaveLength(2);
    expect(await list(app, { status: 'done' })).toHaveLength(3);
    expect(await list(app, { status: 'asks' })).toMatchObject([
      { status: 'asks', question: { message: 'Question 1?' } },
    ]);
    expect(await list(app, { status: 'cancelled' })).toEqual([]);
  });

  it('shows neither inputs nor results', async () => {
    const app = await testApp();
    await insert(app, 'run_1', { value: { secret: 'hidden' } });
    expect(JSON.stringify(await list(app))).not.toContain('hidden');
    expect(await list(app)).toEqual([
      {
        run_id: 'run_1',
        tool: 'double',
        status: 'done',
        principal: agent.id,
        started_at: expect.stringMatching(/^\d{4}-/),
        expires_at: expect.stringMatching(/^\d{4}-/),
      },
    ]);
  });

  it.each([{ limit: 0 }, { limit: 101 }, { status: 'lost' }, { principal: 'agent:eve' }])(
    'takes no %j',
    async (input) => {
      const app = await testApp();
      await expect(app.use('list_runs', input)).rejects.toMatchObject({ code: 'bad_input' });
    },
  );
});

describe('get_run', () => {
  it.each([
    ['text', 'héllo', { type: 'string', value: 'héllo' }],
    ['a number', 7, { type: 'number', value: 7 }],
    ['nothing', null, { type: 'null', value: null }],
    ['a list', [1, 2], { type: 'array', total: 2, value: [1, 2] }],
  ])('shows a result that is %s', async (_, value, page) => {
    const app = await testApp();
    await insert(app, 'run_1', { value });
    expect(await app.use('get_run', { run_id: 'run_1' })).toMatchObject({ status: 'done', ...page });
  });

  it('shows neither the input nor whose rights it ran with', async () => {
    const app = await testApp();
    await insert(app, 'run_1');
    const shown = JSON.stringify(await app.use('get_run', { run_id: 'run_1' }));
    expect(shown).not.toContain('hidden');
    expect(shown).not.toContain('scopes');
  });
});

describe('cancel_run', () => {
  it('ends only what the caller may see', async () => {
    const waits = waitingTool();
    const app = await testApp({ moreTools: [waits.tool] });
    const { runId } = (await app.outcome('waits', {}, { backgroundAfterMs: 1 })) as { runId: string };
    const input = { run_id: runId };
    await expect(app.use('cancel_run', input, { principal: eve })).rejects.toMatchObject({ code: 'not_found' });
    const viewer = createPrincipal('person:vera', 'person', ['viewer']);
    await expect(app.use('cancel_run', input, { principal: viewer })).rejects.toMatchObject({ code: 'not_allowed' });
    expect(await list(app)).toMatchObject([{ status: 'running' }]);
    expect(await app.use('cancel_run', input, { principal: person })).toMatchObject({
      status: 'cancelled',
      error: { code: 'cancelled', message: expect.stringContaining(person.id) },
    });
  });

  it('of a run that has ended says how', async () => {
    const app = await testApp();
    await insert(app, 'run_1');
    await expect(app.use('cancel_run', { run_id: 'run_1' })).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('done'),
    });
  });
});
