import { cpSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { distFile } from '../../src/package.ts';
import { type ChildHandle, startChild } from '../../src/sandbox/child-process.ts';
import type { FromChild } from '../../src/sandbox/protocol.ts';
import { temporaryFolder } from '../helpers/app.ts';
import { hasProc, jobOf, sandboxPids, until } from './jobs.ts';

interface Started {
  child: ChildHandle;
  heard: FromChild[];
  ends: number;
}

/** A child whose program is this text instead of ours. */
function startFake(childText: string, hear?: (message: FromChild) => void): Started {
  const folder = realpathSync(temporaryFolder());
  writeFileSync(join(folder, 'child.js'), childText);
  return start(folder, hear);
}

function start(folder: string, hear: (message: FromChild) => void = () => {}): Started {
  const started: Started = {
    heard: [],
    ends: 0,
    child: startChild(folder, 1, {
      hear: (message) => {
        started.heard.push(message);
        hear(message);
      },
      ended: () => void started.ends++,
    }),
  };
  onTestFinished(() => started.child.end());
  return started;
}

const stays = 'setInterval(() => {}, 1000);';

test.each([
  ['a line that is no JSON', `process.stdout.write('{"t":"ready"}\\nnot json\\n'); ${stays}`],
  ['a line without an end', `const text = 'x'.repeat(1e6); setInterval(() => process.stdout.write(text), 1);`],
  ['nothing, and ends', ''],
  ['nothing, and fails', 'throw new Error("no");'],
])('a child that says %s is ended, and its end told once', async (_what, text) => {
  const started = startFake(text);
  expect(await until(() => started.ends > 0, 10_000)).toBe(true);
  await started.child.end();
  expect(started.ends).toBe(1);
});

test('a message that nobody can make sense of ends the child, not the server', async () => {
  const started = startFake(`process.stdout.write('{"t":"end","id":1}\\n'); ${stays}`, () => {
    throw new TypeError('no such field');
  });
  expect(await until(() => started.ends === 1)).toBe(true);
});

test('what is sent to a child that is gone is sent nowhere', async () => {
  const started = startFake('');
  expect(await until(() => started.ends === 1)).toBe(true);
  expect(started.child.send({ t: 'stop', id: 1 })).toBe(true);
  expect(started.child.run(1, jobOf('doubles'), '{}')).toBe(true);
  started.child.release();
  await started.child.end();
});

test('a folder without the program, or that is none, is an end like any other', async () => {
  for (const folder of [realpathSync(temporaryFolder()), '/nowhere/at/all']) {
    const started = start(folder);
    expect(await until(() => started.ends === 1)).toBe(true);
  }
});

test.each([
  ['is missing', ''],
  ['fails while it starts', 'throw new Error("no")'],
])('a child whose thread %s ends instead of starting it for ever', async (_what, thread) => {
  const folder = realpathSync(temporaryFolder());
  cpSync(distFile('sandbox/child.js'), join(folder, 'child.js'));
  if (thread) writeFileSync(join(folder, 'thread.js'), thread);
  const started = start(folder);
  expect(await until(() => started.ends === 1)).toBe(true);
  if (hasProc) expect(sandboxPids()).toEqual([]);
});

test('programs beyond what the child keeps are asked for again', async () => {
  const started = start(distFile('sandbox'));
  // Together more than it keeps, which is a number of characters.
  const jobs = Array.from({ length: 24 }, (_, i) =>
    jobOf(`long ${i}`, { text: `export default () => ${i}; /* ${'x'.repeat(1.5e6)} */` }),
  );
  for (const [id, job] of jobs.entries()) expect(started.child.run(id, job, '{}')).toBe(true);
  for (const id of [0, 23]) started.child.run(100 + id, jobs[id] ?? jobOf('doubles'), '{}');
  const hears = (message: object) => () =>
    started.heard.some((one) => Object.entries(message).every(([key, value]) => one[key as 't'] === value));
  expect(await until(hears({ t: 'need', id: 100 }))).toBe(true);
  expect(await until(hears({ t: 'end', id: 123 }), 10_000)).toBe(true);
});

test('a message over the size of a line is not sent', () => {
  const { child } = startFake(stays);
  expect(child.run(1, jobOf('doubles'), 'x'.repeat(15_000_000))).toBe(true);
  expect(child.run(2, jobOf('doubles'), 'é'.repeat(8_000_000))).toBe(false);
  expect(child.send({ t: 'answer', id: 1, call: 1, ok: true, json: 'é'.repeat(8_000_000) })).toBe(false);
});

test('the list of programs that a child has does not grow for ever', () => {
  const { child } = startFake(`process.stdin.resume(); ${stays}`);
  for (let i = 0; i < 3_000; i++) child.run(i, jobOf('doubles', { text: `export default () => ${i}` }), '{}');
  expect(child.programs.size).toBeLessThanOrEqual(1_000);
});
