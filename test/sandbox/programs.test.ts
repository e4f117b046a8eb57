import { expect, test } from 'vitest';
import { endOf, jobOf, openSandbox } from './jobs.ts';

test('programs whose texts the child has given up are handed to it again', async () => {
  const one = openSandbox(1);
  // Twenty-four times 1.5 million characters are more than the child keeps.
  const texts = Array.from({ length: 24 }, (_, i) => `export default () => ${i};\n/* ${'x'.repeat(1.5e6)} */`);
  for (const text of [...texts, ...texts.slice(0, 3)]) {
    expect(endOf(await one.run(jobOf('long', { text })))).toBe(texts.indexOf(text));
  }
});

test('many calls at once of a program that is not loaded yet, or cannot be, all learn the same', async () => {
  const one = openSandbox(2);
  const good = await Promise.all(Array.from({ length: 50 }, (_, x) => one.run(jobOf('doubles', { input: { x } }))));
  expect(good.map(endOf)).toEqual(good.map((_, x) => ({ y: x * 2 })));
  const bad = await Promise.all(Array.from({ length: 50 }, () => one.run(jobOf('does_not_parse'))));
  expect(new Set(bad.map(endOf))).toEqual(new Set(['skill_failed']));
  const slow = await Promise.all(
    Array.from({ length: 6 }, () => one.run(jobOf('spin_at_load', { limits: { cpuMs: 60 } }))),
  );
  expect(new Set(slow.map(endOf))).toEqual(new Set(['limit_exceeded cpu']));
});

test('a job that is cancelled while its program loads does not spoil it for those that wait for it', async () => {
  const one = openSandbox(1);
  const controller = new AbortController();
  const first = one.run(jobOf('big_image', { signal: controller.signal }));
  const others = Array.from({ length: 5 }, () => one.run(jobOf('big_image')));
  controller.abort();
  expect(endOf(await first)).toBe('cancelled');
  expect((await Promise.all(others)).map(endOf)).toEqual(Array(5).fill(4e7));
});
