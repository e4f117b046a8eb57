import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { WeaverError } from '../../src/errors.ts';
import { silentLog } from '../../src/log.ts';
import type { Database } from '../../src/store/database.ts';
import { createDispatcher, type Handler, type OutboxTimes } from '../../src/store/dispatcher.ts';
import { outboxHealth, putOutbox, reviveDead } from '../../src/store/outbox.ts';
import { until } from '../helpers/process.ts';
import type { Store } from './store.ts';

const times: OutboxTimes = { handleMs: 300, claimMs: 400, retryMs: 20, maxRetryMs: 100, maxAttempts: 3 };
const topic = 'test';
const never = new AbortController().signal;
const day = 86_400_000;

const put = (database: Database, key: string, more: { body?: unknown; dueAt?: number; tenant?: string } = {}) =>
  database.write((trx) => putOutbox(trx, { tenant: 'local', topic, key, ...more }, Date.now()));
const left = ({ read }: Database) => read.selectFrom('outbox').selectAll().orderBy('key').execute();

/** What an outbox owes over every database: what stands in it is done once, by whichever process lives. */
export function outboxSuite({ name, missing = '', makePlace }: Store): void {
  const openTwo = async (): Promise<[Database, Database]> => {
    const place = await makePlace();
    const opened: [Database, Database] = [await place(), await place()];
    onTestFinished(async () => void (await Promise.all(opened.map((database) => database.close()))));
    return opened;
  };
  const openOne = async (): Promise<Database> => (await openTwo())[0];
  const worker = (database: Database, handler: Handler, more: Partial<OutboxTimes> = {}) =>
    createDispatcher(database, silentLog, { [topic]: handler }, { ...times, ...more });

  describe.skipIf(missing !== '')(`the outbox over ${name}${missing}`, () => {
    it('holds what follows a change if and only if the change is kept', async () => {
      const database = await openOne();
      const failing = database.write(async (trx) => {
        await putOutbox(trx, { tenant: 'local', topic, key: 'lost' }, Date.now());
        throw new Error('the change itself');
      });
      await expect(failing).rejects.toThrow('the change itself');
      await put(database, 'kept', { body: { a: [1, 'ü'] } });
      const seen: unknown[] = [];
      const handled = await worker(database, async (message) => void seen.push(message) as undefined).look(never);
      expect([handled, seen]).toEqual([1, [{ tenant: 'local', topic, key: 'kept', body: { a: [1, 'ü'] } }]]);
      expect(await left(database)).toEqual([]);
    });

    it('is done once for each message by two processes that look at once, again and again', async () => {
      const both = await openTwo();
      const keys = Array.from({ length: 30 }, (_, n) => `key-${String(n).padStart(2, '0')}`);
      for (const key of keys) await put(both[0], key);
      const done: string[] = [];
      const workers = both.map((database) =>
        worker(database, async ({ key }) => {
          done.push(key);
          await sleep(2);
          return undefined;
        }),
      );
      const isEmpty = async () => {
        await Promise.all([...workers, ...workers].map(({ look }) => look(never)));
        return (await left(both[0])).length === 0;
      };
      expect(await until(isEmpty)).toBe(true);
      expect(done.sort()).toEqual(keys);
    });

    it('does once more what was put again while it was done, with the later body', async () => {
      const database = await openOne();
      const bodies: unknown[] = [];
      const { look } = worker(database, async ({ body }) => {
        bodies.push(body);
        if (bodies.length === 1) await put(database, 'one', { body: 'b' });
        return undefined;
      });
      await put(database, 'one', { body: 'a' });
      await look(never);
      await look(never);
      await look(never);
      expect([bodies, await left(database)]).toEqual([['a', 'b'], []]);
    });

    it('tries again what fails, later and later, and then shows it as given up until somebody retries', async () => {
      const database = await openOne();
      let isBroken = true;
      const attempts: number[] = [];
      const { look } = worker(database, async () => {
        attempts.push(performance.now());
        if (isBroken) throw new WeaverError('unavailable', 'nothing listens there');
        return undefined;
      });
      await put(database, 'one');
      const isDead = async () => {
        await look(never);
        return (await outboxHealth(database.read, 0)).dead.length > 0;
      };
      expect(await until(isDead)).toBe(true);
      expect(attempts).toHaveLength(3);
      expect((await outboxHealth(database.read, 0)).dead).toEqual([
        { topic, key: 'one', error: '[unavailable] nothing listens there' },
      ]);
      expect(await look(never)).toBe(0);
      isBroken = false;
      expect(await database.write(reviveDead)).toBe(1);
      expect(await look(never)).toBe(1);
      expect(await outboxHealth(database.read, Date.now())).toEqual({ waiting: 0, late: 0, dead: [] });
    });

    it('begins anew what was given up when it is put again', async () => {
      const database = await openOne();
      await put(database, 'one');
      await database.write((trx) => trx.updateTable('outbox').set({ state: 'dead', attempts: 9 }).execute());
      await put(database, 'one');
      expect(await worker(database, async () => undefined).look(never)).toBe(1);
      expect(await left(database)).toEqual([]);
    });

    it('keeps nothing of an unforeseen error but that there was one', async () => {
      const database = await openOne();
      await put(database, 'one');
      await worker(database, async () => Promise.reject(new Error('password=hunter2'))).look(never);
      expect(JSON.stringify(await left(database))).not.toContain('hunter2');
      expect(await left(database)).toMatchObject([{ error: expect.stringContaining('[internal]'), attempts: 1 }]);
    });

    it('is gone on with by another process when the first ends in the middle, and only then', async () => {
      const [one, other] = await openTwo();
      await put(one, 'one');
      const done: string[] = [];
      let die = (): void => {};
      const dead = new Promise<undefined>((_, reject) => {
        die = () => reject(new Error('for the test to end'));
      });
      const dying = worker(one, () => dead, { handleMs: day }).look(never);
      expect(await until(async () => (await left(other))[0]?.claim !== null)).toBe(true);
      const { look } = worker(other, async ({ key }) => void done.push(key) as undefined);
      const isDone = async () => {
        await look(never);
        return done.length > 0;
      };
      const began = performance.now();
      expect(await until(isDone)).toBe(true);
      expect(performance.now() - began).toBeGreaterThan(times.claimMs * 0.9);
      // Whoever was taken for dead changes nothing any more.
      die();
      await dying;
      expect([done, await left(other)]).toEqual([['one'], []]);
    });

    it('counts an attempt for each process that ended in the middle, and gives up in the end', async () => {
      const database = await openOne();
      await put(database, 'one');
      await database.write((trx) => trx.updateTable('outbox').set({ attempts: times.maxAttempts }).execute());
      let calls = 0;
      await worker(database, async () => void calls++ as undefined).look(never);
      expect(calls).toBe(0);
      expect((await outboxHealth(database.read, 0)).dead).toMatchObject([{ error: expect.stringContaining('ended') }]);
    });

    it('hands back at once, and as no attempt, what a process has under way that is told to end', async () => {
      const database = await openOne();
      await put(database, 'one');
      await put(database, 'two');
      const stop = new AbortController();
      const looking = worker(database, (_, signal) => {
        setTimeout(() => stop.abort(), 20);
        return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('stopped'))));
      }).look(stop.signal);
      await looking;
      expect(await left(database)).toMatchObject([
        { key: 'one', claim: null, attempts: 0, due_at: 0, error: null },
        { key: 'two', claim: null, attempts: 0 },
      ]);
    });

    it('gives up waiting for a handler that never ends', async () => {
      const database = await openOne();
      await put(database, 'one');
      await worker(database, () => new Promise(() => {}), { handleMs: 50 }).look(never);
      expect(await left(database)).toMatchObject([{ claim: null, error: expect.stringContaining('[timed_out]') }]);
    });

    it('leaves topics that nobody here knows to other processes', async () => {
      const [one, other] = await openTwo();
      await one.write((trx) => putOutbox(trx, { tenant: 'local', topic: 'of tomorrow', key: 'x' }, Date.now()));
      expect(await worker(one, async () => undefined).look(never)).toBe(0);
      const tomorrow = createDispatcher(other, silentLog, { 'of tomorrow': async () => undefined }, times);
      expect(await tomorrow.look(never)).toBe(1);
    });

    it('does what is due later at its time, again as often as it says, and the earlier of two times', async () => {
      const database = await openOne();
      const at = Date.now() + day;
      await put(database, 'one', { dueAt: at });
      let next: number | undefined = at + 2 * day;
      const { look } = worker(database, async () => next);
      expect(await look(never)).toBe(0);
      await put(database, 'one', { dueAt: at + day });
      expect((await left(database))[0]?.due_at).toBe(at);
      await put(database, 'one', { dueAt: 1 });
      expect(await look(never)).toBe(1);
      expect(await left(database)).toMatchObject([{ due_at: next, attempts: 0, claim: null }]);
      await put(database, 'one', { dueAt: 1 });
      next = undefined;
      expect(await look(never)).toBe(1);
      expect(await left(database)).toEqual([]);
    });
  });

  describe.skipIf(missing !== '')(`the outbox over ${name} when the clock jumps${missing}`, () => {
    it('waits with what is due at a time of day until the clock stands for a while, and does the rest', async () => {
      const database = await openOne();
      await put(database, 'now');
      await put(database, 'tomorrow', { dueAt: Date.now() + day });
      const done: string[] = [];
      const { look } = worker(database, async ({ key }) => void done.push(key) as undefined);
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + day + 1_000 });
      try {
        await look(never);
        expect(done).toEqual(['now']);
      } finally {
        vi.useRealTimers();
      }
      expect((await left(database)).map(({ key }) => key)).toEqual(['tomorrow']);
    });

    it('tries again what had failed before the clock was set back by a day', async () => {
      const database = await openOne();
      await put(database, 'one');
      let isBroken = true;
      const { look } = worker(database, async () => {
        if (isBroken) throw new WeaverError('unavailable', 'not yet');
        return undefined;
      });
      await look(never);
      isBroken = false;
      const yesterday = worker(database, async () => undefined);
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - day });
      try {
        const later = createDispatcher(database, silentLog, { [topic]: async () => undefined }, times);
        expect(await later.look(never)).toBe(1);
      } finally {
        vi.useRealTimers();
      }
      expect(await yesterday.look(never)).toBe(0);
    });
  });
}
