import { expect, test } from 'vitest';
import { distFile } from '../../src/package.ts';
import { JobRun } from '../../src/sandbox/job-run.ts';
import type { FromChild, ToChild } from '../../src/sandbox/protocol.ts';
import { compileEngine, createVm, type Image, loadImage } from '../../src/sandbox/vm.ts';
import { type JobFields, jobOf } from './jobs.ts';

interface Stage {
  run: JobRun;
  posted: FromChild[];
  forgotten: number[];
}

interface StageFields extends Pick<JobFields, 'limits'> {
  isCrowded?: () => boolean;
  /** How long the server takes to read a message. */
  readMs?: number;
}

function stageOf(input: unknown = {}, { isCrowded = () => false, readMs = 0, ...fields }: StageFields = {}): Stage {
  const { limits, now, seed } = jobOf('doubles', fields);
  const message: Extract<ToChild, { t: 'run' }> = {
    t: 'run',
    id: 5,
    hash: 'h',
    input: JSON.stringify(input),
    limits,
    now,
    seed,
  };
  const posted: FromChild[] = [];
  const forgotten: number[] = [];
  const host = {
    post(one: FromChild): void {
      posted.push(one);
      for (const until = performance.now() + readMs; performance.now() < until; );
    },
    forget: (id: number) => void forgotten.push(id),
    beginSlice() {},
    isStopped: () => false,
    endSlice() {},
    isCrowded,
  };
  return { run: new JobRun(message, host), posted, forgotten };
}

async function imageOf(text: string): Promise<Image> {
  const module = await compileEngine(distFile('sandbox/quickjs.wasm'), 64);
  return loadImage(
    await createVm(
      module,
      64,
      () => {},
      () => false,
    ),
    text,
  );
}

const stopped = { t: 'end', id: 5, end: { ok: false, kind: 'lost' } };

test('a job that is stopped while its engine is made ends, once, and is forgotten', async () => {
  const image = await imageOf('export default () => 1;');
  const { run, posted, forgotten } = stageOf();
  const begun = run.begin(image);
  run.stop();
  await begun;
  run.stop();
  expect([posted, forgotten]).toMatchObject([[stopped], [5]]);
});

test('a job that is stopped before it begins, or while it waits, ends likewise', async () => {
  const image = await imageOf('export default (input, ctx) => ctx.tools.wait({});');
  const early = stageOf();
  early.run.stop();
  await early.run.begin(image);
  expect([early.posted, early.forgotten]).toMatchObject([[stopped], [5]]);
  const late = stageOf();
  await late.run.begin(image);
  late.run.stop();
  late.run.answer({ t: 'answer', id: 5, call: 1, ok: true, json: '1' });
  expect([late.posted, late.forgotten]).toMatchObject([[{ t: 'call', name: 'wait' }, stopped], [5]]);
});

test('a job whose program is not there is handed back; stopped, it ends instead', () => {
  const given = stageOf();
  given.run.giveUp();
  expect([given.posted, given.forgotten]).toEqual([[{ t: 'need', id: 5 }], [5]]);
  const ended = stageOf();
  ended.run.stop();
  ended.run.giveUp();
  expect([ended.posted, ended.forgotten]).toMatchObject([[stopped], [5]]);
});

test('an answer to a call that was never made, or twice, changes nothing', async () => {
  const image = await imageOf('export default async (input, ctx) => [await ctx.tools.a({}), await ctx.tools.b({})];');
  const { run, posted } = stageOf();
  await run.begin(image);
  const answer = (call: number, json: string) => run.answer({ t: 'answer', id: 5, call, ok: true, json });
  answer(7, '"forged"');
  answer(1, '"first"');
  answer(1, '"again"');
  answer(2, '"second"');
  answer(3, '"late"');
  expect(posted.map((one) => one.t)).toEqual(['call', 'call', 'end']);
  expect(posted.at(-1)).toMatchObject({ end: { ok: true, json: '["first","second"]' } });
});

test('where the waiting jobs hold too much memory, the one that comes to wait is busy', async () => {
  const image = await imageOf('export default (input, ctx) => ctx.tools.wait({});');
  const { run, posted } = stageOf({}, { isCrowded: () => true });
  await run.begin(image);
  expect(posted.at(-1)).toMatchObject({ t: 'end', end: { ok: false, kind: 'busy' } });
  const quick = stageOf({}, { isCrowded: () => true });
  await quick.run.begin(await imageOf('export default () => 1;'));
  expect(quick.posted).toMatchObject([{ t: 'end', end: { ok: true, json: '1' } }]);
});

test('computing for longer than the call may take is a matter of its time, not of its computing time', async () => {
  const image = await imageOf('export default () => { for (;;); };');
  const { run, posted } = stageOf({}, { limits: { wallMs: 30, cpuMs: 10_000 } });
  await run.begin(image);
  expect(posted).toMatchObject([{ t: 'end', end: { ok: false, kind: 'limit', limit: 'wall' } }]);
});

test('while the server is slow to read, the program is not computing', async () => {
  const image = await imageOf(
    "export default (input, ctx) => { for (let i = 0; i < 5; i++) ctx.tools.wait({}); return 'done'; };",
  );
  const { run, posted } = stageOf({}, { readMs: 100, limits: { cpuMs: 400 } });
  await run.begin(image);
  const end = posted.at(-1);
  expect(end).toMatchObject({ t: 'end', end: { ok: true, json: '"done"' } });
  expect(end?.t === 'end' && end.usage.cpuMs).toBeLessThan(400);
});
