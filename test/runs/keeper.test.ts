import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createPrincipal } from '../../src/access/principals.ts';
import type { Progress } from '../../src/contracts.ts';
import { WeaverError } from '../../src/errors.ts';
import { type Log, silentLog } from '../../src/log.ts';
import { createRunKeeper, type HeldRun } from '../../src/runs/keeper.ts';
import { runsUnderWay } from '../../src/runs/leases.ts';
import { cancelRun, getRun } from '../../src/runs/read.ts';
import { insertRun, moveRun } from '../../src/runs/table.ts';
import { type Database, openDatabase } from '../../src/store/database.ts';
import { until } from '../helpers/process.ts';

const ada = createPrincipal('agent:ada', 'agent', ['author']);
const times = { leaseMs: 400, renewMs: 100, lookMs: 20 };

interface Held extends HeldRun {
  progress: Progress | undefined;
  cancelledWith: WeaverError | undefined;
  end(): void;
}

const hold = (id: string): Held => {
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  return {
    tenant: 'local',
    id,
    holder: `holder of ${id}`,
    isRepeatable: false,
    progress: undefined,
    cancelledWith: undefined,
    ended,
    end: () => end(),
    cancel(error) {
      this.cancelledWith = error;
      end();
    },
  };
};

async function setUp(ids: string[], log: Log = silentLog, wrap = (database: Database) => database) {
  const database = await openDatabase(':memory:');
  const keeper = createRunKeeper(wrap(database), log, times);
  onTestFinished(() => keeper.close());
  const request = { input: {}, principal: ada, via: 'mcp' } as const;
  for (const id of ids) {
    const times = { leaseUntil: Date.now() + 400, expiresAt: Date.now() + 60_000 };
    await database.write((trx) =>
      insertRun(trx, { id, tool: 'waits', request, state: 'running', holder: `holder of ${id}`, ...times }, Date.now()),
    );
  }
  const stateOf = async (id: string) => (await getRun(database, ada, id, Date.now())).state;
  const leaseOf = async (id: string): Promise<number> => {
    const { lease_until } = await database.read
      .selectFrom('runs')
      .select('lease_until')
      .where('id', '=', id)
      .executeTakeFirstOrThrow();
    return lease_until ?? 0;
  };
  return { database, keeper, stateOf, leaseOf };
}

describe('the keeper of runs', () => {
  it('renews the lease of what it holds for as long as it holds it, and of nothing else', async () => {
    const { keeper, leaseOf } = await setUp(['held', 'left']);
    const run = hold('held');
    const [first, left] = [await leaseOf('held'), await leaseOf('left')];
    keeper.hold(run);
    for (const last of [first, first + 1])
      expect(await until(async () => (await leaseOf('held')) > last, 5_000)).toBe(true);
    keeper.release(run);
    await sleep(150);
    const last = await leaseOf('held');
    await sleep(300);
    expect([await leaseOf('held'), await leaseOf('left')]).toEqual([last, left]);
    expect(run.cancelledWith).toBeUndefined();
  });

  it('stops a run that somebody else has cancelled, and no other', async () => {
    const { database, keeper, stateOf } = await setUp(['one', 'two']);
    const [one, two] = [hold('one'), hold('two')];
    keeper.hold(one);
    keeper.hold(two);
    await cancelRun(database, ada, 'one', Date.now());
    expect(await until(() => one.cancelledWith !== undefined, 5_000)).toBe(true);
    expect(one.cancelledWith).toMatchObject({ code: 'cancelled' });
    expect(two.cancelledWith).toBeUndefined();
    expect(await stateOf('two')).toBe('running');
  });

  it('does not stop a run that asked when it was looked for, and goes on by now', async () => {
    let answer: (() => void) | undefined;
    const slow = (database: Database): Database => ({
      ...database,
      // What was found is known only later.
      write: async (work) => {
        const found = await database.write(work);
        await new Promise<void>((resolve) => {
          answer = resolve;
        });
        return found;
      },
    });
    const { database, keeper } = await setUp(['run'], silentLog, slow);
    const move = (from: 'running' | 'asks', state: 'running' | 'asks') => {
      const change = { state, holder: 'holder of run', leaseUntil: Date.now() + 5_000, expiresAt: Date.now() + 60_000 };
      return database.write((trx) => moveRun(trx, { tenant: 'local', id: 'run' }, { from }, change, Date.now()));
    };
    const [before, after] = [hold('run'), hold('run')];
    before.progress = { done: 1 };
    keeper.hold(before);
    await move('running', 'asks');
    expect(await until(() => answer !== undefined, 5_000)).toBe(true);
    keeper.release(before);
    await move('asks', 'running');
    keeper.hold(after);
    answer?.();
    await sleep(50);
    expect(before.cancelledWith ?? after.cancelledWith).toBeUndefined();
  });

  it('writes down how far a run is, soon after it said so', async () => {
    const { database, keeper } = await setUp(['run']);
    const run = hold('run');
    keeper.hold(run);
    for (const done of [1, 2]) {
      run.progress = { done, total: 2, message: `step ${done}` };
      const isShown = async () => (await getRun(database, ada, 'run', Date.now())).progress?.done === done;
      expect(await until(isShown, 5_000)).toBe(true);
    }
    expect((await getRun(database, ada, 'run', Date.now())).progress).toEqual({ done: 2, total: 2, message: 'step 2' });
  });

  it('goes on after the database could not be reached, and says so', async () => {
    let failures = 2;
    const broken = (database: Database): Database => ({
      ...database,
      write: (work) => (failures-- > 0 ? Promise.reject(new WeaverError('busy', 'locked')) : database.write(work)),
    });
    const warnings: unknown[] = [];
    const log = { ...silentLog, warn: (...said: unknown[]) => void warnings.push(said) } as Log;
    const { keeper, leaseOf } = await setUp(['run'], log, broken);
    const run = hold('run');
    run.progress = { done: 1 };
    const first = await leaseOf('run');
    keeper.hold(run);
    expect(await until(async () => (await leaseOf('run')) > first, 5_000)).toBe(true);
    expect(warnings).toHaveLength(2);
    expect(run.cancelledWith).toBeUndefined();
  });

  it('stops what another process may begin again when it could not say for so long that it lives, and nothing else', async () => {
    const away = (database: Database): Database => ({
      ...database,
      write: (work) =>
        isAway ? Promise.reject(new WeaverError('database_unavailable', 'away')) : database.write(work),
    });
    let isAway = false;
    const { keeper } = await setUp(['twice', 'once'], silentLog, away);
    const [twice, once] = [{ ...hold('twice'), isRepeatable: true }, hold('once')];
    keeper.hold(twice);
    keeper.hold(once);
    await sleep(2 * times.leaseMs);
    expect(twice.cancelledWith).toBeUndefined();
    isAway = true;
    expect(await until(() => twice.cancelledWith !== undefined, 5_000)).toBe(true);
    expect(twice.cancelledWith).toMatchObject({ code: 'unavailable' });
    expect(once.cancelledWith).toBeUndefined();
  });

  it('does not lose a run whose lease moves while the clock stands, and hands back at its close what can be run again', async () => {
    const { keeper, leaseOf, database } = await setUp(['twice']);
    const run = { ...hold('twice'), isRepeatable: true };
    const seen = new Set<number>();
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - 86_400_000 });
    try {
      keeper.hold(run);
      expect(await until(async () => seen.add(await leaseOf('twice')).size > 3)).toBe(true);
    } finally {
      vi.useRealTimers();
    }
    await keeper.close();
    expect(await runsUnderWay(database.read)).toMatchObject([{ id: 'twice', holder: null, leaseUntil: 0 }]);
  });

  it('cancels at its close what it holds and what comes later, and waits for the ends', async () => {
    const { keeper } = await setUp(['one', 'two', 'three']);
    const [one, two, three] = [hold('one'), hold('two'), hold('three')];
    let isClosed = false;
    two.cancel = function (error) {
      this.cancelledWith = error;
    };
    keeper.hold(one);
    keeper.hold(two);
    const closing = keeper.close().then(() => {
      isClosed = true;
    });
    keeper.hold(three);
    for (const run of [one, two, three]) expect(run.cancelledWith).toMatchObject({ code: 'cancelled' });
    await sleep(50);
    expect(isClosed).toBe(false);
    two.end();
    await closing;
  });
});
