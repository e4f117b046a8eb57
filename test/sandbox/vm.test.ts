import { afterEach, expect, test, vi } from 'vitest';
import { distFile } from '../../src/package.ts';
import {
  compileEngine,
  createVm,
  giveBack,
  type Image,
  isFull,
  loadImage,
  memoryBytes,
  takeVm,
  type Vm,
} from '../../src/sandbox/vm.ts';

const memoryMb = 64;
const never = () => false;

afterEach(() => void vi.unstubAllEnvs());

async function imageOf(program: string): Promise<Image> {
  const module = await compileEngine(distFile('sandbox/quickjs.wasm'), memoryMb);
  return loadImage(await createVm(module, memoryMb, () => {}, never), program);
}

/** Takes an engine, runs the program in it, and says what it answered. */
async function runIn(image: Image, input: unknown = {}): Promise<{ vm: Vm; value: unknown }> {
  const heard: string[] = [];
  const vm = await takeVm(image, (word, _id, text, json) => heard.push(`${word} ${json || text}`), never);
  vm.enter('run', JSON.stringify(input), 1_000, 1, 1_000_000);
  const [first = ''] = heard;
  if (!first.startsWith('done ')) throw new Error(first);
  return { vm, value: JSON.parse(first.slice(5)) };
}

const counting =
  'let n = 0; export default ({ add }) => { globalThis.n = (globalThis.n ?? 0) + add; return [++n, globalThis.n]; };';

test('an engine that is given back is used again, in the state of the image', async () => {
  const image = await imageOf(counting);
  const first = await runIn(image, { add: 1 });
  giveBack(image, first.vm, false);
  const second = await runIn(image, { add: 1 });
  expect(second.vm).toBe(first.vm);
  expect([first.value, second.value]).toEqual([
    [1, 1],
    [1, 1],
  ]);
});

test('it serves another program just as well', async () => {
  const image = await imageOf(counting);
  const other = await imageOf('let n = 10; export default () => [n++, typeof globalThis.n, [].concat([n])];');
  const first = await runIn(image, { add: 1 });
  giveBack(image, first.vm, false);
  const second = await runIn(other);
  expect(second.vm).toBe(first.vm);
  expect(second.value).toEqual([10, 'undefined', [11]]);
  giveBack(other, second.vm, false);
  expect((await runIn(image, { add: 2 })).value).toEqual([1, 2]);
});

test('an engine that broke or grew is not used again', async () => {
  const image = await imageOf('export default ({ size }) => new Uint8Array(size).fill(1).length;');
  const broken = await runIn(image, { size: 1 });
  giveBack(image, broken.vm, true);
  const grown = await runIn(image, { size: 8e6 });
  expect(grown.vm).not.toBe(broken.vm);
  expect(memoryBytes(grown.vm)).toBeGreaterThan(image.size);
  giveBack(image, grown.vm, false);
  const next = await runIn(image, { size: 2 });
  expect([next.vm === grown.vm, next.value]).toEqual([false, 2]);
});

test('nothing of the call before is left anywhere in its memory', async () => {
  const image = await imageOf(
    'export default ({ text }) => [text.repeat(20_000), new Uint8Array(5e5).fill(7)].length;',
  );
  const fresh = await takeVm(image, () => {}, never);
  const used = await runIn(image, { text: 'secret' });
  expect(used.vm).not.toBe(fresh);
  expect(memoryBytes(used.vm)).toBe(image.size);
  giveBack(image, used.vm, false);
  const again = await takeVm(image, () => {}, never);
  expect(again).toBe(used.vm);
  expect(memoryOf(again).equals(memoryOf(fresh))).toBe(true);
});

const memoryOf = ({ engine }: Vm): Buffer =>
  Buffer.from((engine as unknown as { exports: { memory: { buffer: ArrayBuffer } } }).exports.memory.buffer);

test('only a few engines are kept, whatever the number of programs', async () => {
  const image = await imageOf(counting);
  const vms = await Promise.all(Array.from({ length: 20 }, async () => (await runIn(image, { add: 1 })).vm));
  for (const vm of vms) giveBack(image, vm, false);
  const again = await Promise.all(Array.from({ length: 20 }, async () => (await runIn(image, { add: 1 })).vm));
  expect(again.filter((vm) => vms.includes(vm)).length).toBe(8);
});

test('of large engines fewer are kept', async () => {
  const image = await imageOf('const held = new Uint8Array(2e7).fill(1); export default () => held.length;');
  const vms = await Promise.all([1, 2, 3].map(async () => (await runIn(image)).vm));
  for (const vm of vms) giveBack(image, vm, false);
  const again = await Promise.all([1, 2, 3].map(async () => (await runIn(image)).vm));
  expect(again.filter((vm) => vms.includes(vm)).length).toBe(1);
});

test('where the library has no such private parts, each call gets an engine of its own, and the same answers', async () => {
  const image = await imageOf(counting);
  const first = await runIn(image, { add: 1 });
  const engine = first.vm.engine as unknown as { exports: Record<string, unknown> };
  engine.exports = { ...engine.exports, qjs_set_runtime_and_context: undefined };
  expect(memoryBytes(first.vm)).toBe(0);
  giveBack(image, first.vm, false);
  const second = await runIn(image, { add: 5 });
  expect(second.vm).not.toBe(first.vm);
  expect(second.value).toEqual([1, 5]);
});

test('an image leaves out the pages that are zero', async () => {
  const image = await imageOf('export default () => 1;');
  expect(image.bytes).toBeLessThan(image.size / 2);
  expect((await runIn(image)).value).toBe(1);
});

test('an engine is full when it has grown to its cap', async () => {
  const image = await imageOf(
    'const kept = []; export default () => { try { for (;;) kept.push(new ArrayBuffer(1e5)); } catch {} return 1; };',
  );
  const { vm } = await runIn(image);
  expect(isFull(vm)).toBe(true);
  expect(isFull((await runIn(await imageOf('export default () => 1;'))).vm)).toBe(false);
});

test('the time zone of the machine does not show', async () => {
  vi.stubEnv('TZ', 'America/New_York');
  expect(new Date(0).getTimezoneOffset()).toBe(300);
  const image = await imageOf(
    'export default () => [new Date(0).getTimezoneOffset(), new Date(0).getHours(), String(new Date(0))];',
  );
  expect((await runIn(image)).value).toEqual([0, 0, 'Thu Jan 01 1970 00:00:00 GMT+0000']);
});

test('a fault of the host is an error inside the engine that says nothing about the host', async () => {
  const image = await imageOf(
    'export default (input, ctx) => { try { ctx.log(1); } catch (error) { return [error.message, String(error.stack)]; } };',
  );
  const heard: string[] = [];
  const vm = await takeVm(
    image,
    (word, _id, _text, json) => {
      if (word === 'log') throw new RangeError('no room');
      heard.push(json);
    },
    never,
  );
  vm.enter('run', '{}', 0, 0, 10_000);
  const [message, stack] = JSON.parse(heard[0] ?? '[]');
  expect(message).toBe('no room');
  expect(stack).toContain('skill.js');
  expect(stack).not.toMatch(/vm\.|file:|node_modules|\.ts/);
});

test('an interruption leaves the engine as the error that it is, whatever the program catches', async () => {
  const image = await imageOf(
    'export default () => { for (;;) { try { for (;;); } catch {} finally { continue; } } };',
  );
  const isOver = () => {
    throw new Error('stop here');
  };
  const vm = await takeVm(image, () => {}, isOver);
  expect(() => vm.enter('run', '{}', 0, 0, 100)).toThrow('stop here');
});
