import { randomUUID } from 'node:crypto';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createPrincipal } from '../../src/access/principals.ts';
import { findTaken, type HeldLease, handBack, renewLease, runsUnderWay, takeRun } from '../../src/runs/leases.ts';
import { endRun, findRun, insertRun } from '../../src/runs/table.ts';
import type { Database } from '../../src/store/database.ts';
import type { Store } from './store.ts';

const ada = createPrincipal('agent:ada', 'agent', ['author']);
const key = { tenant: 'local', id: 'run_1' };
const hour = 3_600_000;
const done = { state: 'done', outcome: 1, expiresAt: Date.now() + hour } as const;

/** What the leases of runs owe over every database: of several processes that try, one holds a run. */
export function leaseSuite({ name, missing = '', makePlace }: Store): void {
  const openTwo = async (): Promise<[Database, Database]> => {
    const place = await makePlace();
    const opened: [Database, Database] = [await place(), await place()];
    onTestFinished(async () => void (await Promise.all(opened.map((database) => database.close()))));
    return opened;
  };
  const begin = (database: Database) => {
    const request = { input: {}, principal: ada, via: 'mcp' } as const;
    const times = { leaseUntil: Date.now() + hour, expiresAt: Date.now() + hour };
    const run = { id: key.id, tool: 'double', request, state: 'running', holder: 'first', ...times } as const;
    return database.write((trx) => insertRun(trx, run, Date.now()));
  };
  const seenBy = async ({ read }: Database): Promise<HeldLease> => {
    const [seen] = await runsUnderWay(read);
    if (!seen) throw new Error('no run is under way');
    return seen;
  };
  const take = (database: Database, seen: HeldLease, holder: string = randomUUID()) =>
    database.write((trx) => takeRun(trx, seen, { holder, leaseUntil: Date.now() + hour }));

  describe.skipIf(missing !== '')(`the lease of a run over ${name}${missing}`, () => {
    it('is taken by one of many that try at once', async () => {
      const both = await openTwo();
      await begin(both[0]);
      const seen = await seenBy(both[1]);
      const taken = await Promise.all(Array.from({ length: 12 }, (_, n) => take(both[n % 2] as Database, seen)));
      expect(taken.filter((isTaken) => isTaken)).toHaveLength(1);
    });

    it('is not taken when its holder has renewed it since it was seen, or the run has ended', async () => {
      const [one, other] = await openTwo();
      await begin(one);
      const seen = await seenBy(other);
      expect(await one.write((trx) => renewLease(trx, [{ ...key, holder: 'first' }], seen.leaseUntil + 1))).toEqual(
        new Set(),
      );
      expect(await take(other, seen)).toBe(false);
      const renewed = await seenBy(other);
      await one.write((trx) => endRun(trx, key, done, Date.now(), 'first'));
      expect(await take(other, renewed)).toBe(false);
    });

    it('that was lost neither renews nor ends nor hands back the run of the next holder', async () => {
      const [one, other] = await openTwo();
      await begin(one);
      expect(await take(other, await seenBy(other), 'second')).toBe(true);
      const first = { ...key, holder: 'first' };
      expect(await one.write((trx) => renewLease(trx, [first], 1))).toEqual(new Set([key.id]));
      expect(await one.write((trx) => endRun(trx, key, done, Date.now(), 'first'))).toBe(false);
      await one.write((trx) => handBack(trx, [first]));
      expect(await seenBy(one)).toMatchObject({ holder: 'second' });
      expect(await findTaken(one.read, key, 'first', Date.now())).toBeUndefined();
      expect(await findTaken(one.read, key, 'second', Date.now())).toMatchObject({ takes: 1, run: { tool: 'double' } });
      const failed = { ...done, state: 'failed', outcome: { code: 'unavailable', message: 'x' } } as const;
      expect(await other.write((trx) => endRun(trx, key, failed, Date.now(), 'second'))).toBe(true);
      expect(await findRun(one.read, key, Date.now())).toMatchObject({ state: 'failed' });
    });

    it('that was handed back is free at once, to one', async () => {
      const [one, other] = await openTwo();
      await begin(one);
      await one.write((trx) => handBack(trx, [{ ...key, holder: 'first' }]));
      const seen = await seenBy(other);
      expect(seen).toMatchObject({ holder: null, leaseUntil: 0 });
      expect([await take(other, seen), await take(one, seen)]).toEqual([true, false]);
    });
  });
}
