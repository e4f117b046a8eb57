import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { testApp } from '../helpers/app.ts';
import { descendants, until } from '../helpers/process.ts';

const sandboxes = (): number[] =>
  descendants(process.pid).filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('sandbox/child');
    } catch {
      return false; // It ended between two looks.
    }
  });

it('sandboxes that are killed again and again under load fail only the calls on them, and never for good', async () => {
  const app = await testApp();
  await app.save();
  const counts = { done: 0, failed: 0, kills: 0 };
  const others: unknown[] = [];
  const endAt = Date.now() + 8_000;
  const caller = async (): Promise<void> => {
    for (let x = 0; Date.now() < endAt; x++) {
      const outcome = await app.outcome('double', { x });
      if (outcome.status === 'done') expect(outcome.value).toEqual({ y: 2 * x });
      if (outcome.status === 'done') counts.done++;
      else if (outcome.status === 'failed' && outcome.error.code === 'unavailable') counts.failed++;
      else others.push(outcome);
    }
  };
  const killer = async (): Promise<void> => {
    for (; Date.now() < endAt; await sleep(900)) {
      for (const pid of sandboxes()) {
        process.kill(pid, 'SIGKILL');
        counts.kills++;
      }
    }
  };
  await Promise.all([killer(), ...Array.from({ length: 8 }, caller)]);
  console.log(`sandbox: ${JSON.stringify(counts)}`);
  expect(others).toEqual([]);
  expect(counts.kills).toBeGreaterThan(3);
  expect(counts.done).toBeGreaterThan(50);
  expect(await app.use('double', { x: 21 })).toEqual({ y: 42 });
  await app.close();
  expect(await until(() => sandboxes().length === 0)).toBe(true);
});
