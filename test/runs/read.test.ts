import { describe, expect, it } from 'vitest';
import { createPrincipal } from '../../src/access/principals.ts';
import { cancelRun, getRun, keepResult } from '../../src/runs/read.ts';
import { endRun, insertRun, type RunState } from '../../src/runs/table.ts';
import { openDatabase } from '../../src/store/database.ts';

const now = 1_700_000_000_000;
const hour = 3_600_000;
const ada = createPrincipal('agent:ada', 'agent', ['author']);
const notFound = { code: 'not_found' };

async function withRun(state: RunState = 'running') {
  const database = await openDatabase(':memory:');
  const request = { input: {}, principal: ada, via: 'mcp' } as const;
  const run = {
    id: 'run_1',
    tool: 'double',
    request,
    state,
    value: { y: 2 },
    leaseUntil: now + 30_000,
    expiresAt: now + hour,
  };
  await database.write((trx) => insertRun(trx, run, now));
  return database;
}

describe('a run', () => {
  it('may be seen by its principal and by people of its tenant, and is unknown to everybody else', async () => {
    const database = await withRun();
    const seen = [ada, createPrincipal('person:eve', 'person', ['viewer'])];
    for (const principal of seen) expect((await getRun(database, principal, 'run_1', now)).id).toBe('run_1');
    const others = [
      createPrincipal('agent:eve', 'agent', ['admin']),
      createPrincipal('service:ada', 'service', ['admin']),
      createPrincipal('agent:ada', 'agent', ['admin'], { tenant: 'other' }),
      createPrincipal('person:ada', 'person', ['admin'], { tenant: 'other' }),
    ];
    for (const principal of others) {
      await expect(getRun(database, principal, 'run_1', now)).rejects.toMatchObject(notFound);
      await expect(cancelRun(database, principal, 'run_1', now)).rejects.toMatchObject(notFound);
    }
    expect((await getRun(database, ada, 'run_1', now)).state).toBe('running');
  });

  it.each(['', 'run_2', "run_1' or 1=1 --", 'x'.repeat(100_000)])('by a wrong name is not found', async (id) => {
    const database = await withRun();
    const refused = getRun(database, ada, id, now);
    await expect(refused).rejects.toMatchObject(notFound);
    await refused.catch((error: Error) => expect(error.message.length).toBeLessThan(200));
  });

  it.each<RunState>(['running', 'asks'])('that is %s is cancelled, and kept as that for 30 days', async (state) => {
    const database = await withRun(state);
    expect(await cancelRun(database, ada, 'run_1', now)).toMatchObject({
      state: 'cancelled',
      error: { code: 'cancelled', message: 'double was cancelled by agent:ada.' },
      expiresAt: now + 30 * 24 * hour,
    });
    await expect(cancelRun(database, ada, 'run_1', now)).rejects.toMatchObject({ code: 'conflict' });
  });

  it.each<RunState>(['done', 'failed', 'cancelled'])('that is %s already is not cancelled', async (state) => {
    const database = await withRun();
    await database.write((trx) =>
      endRun(trx, { tenant: 'local', id: 'run_1' }, { state, outcome: null, expiresAt: now }, now),
    );
    await expect(cancelRun(database, ada, 'run_1', now)).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining(state),
    });
    expect((await getRun(database, ada, 'run_1', now)).state).toBe(state);
  });
});

it('a large result of a plain call is kept for an hour', async () => {
  const database = await openDatabase(':memory:');
  const id = await keepResult(database, { principal: ada, tool: 'double', input: {}, value: [1, 2] }, now);
  expect(await getRun(database, ada, id, now + hour)).toMatchObject({ state: 'done', value: [1, 2], tool: 'double' });
  await expect(getRun(database, ada, id, now + hour + 1)).rejects.toMatchObject(notFound);
});
