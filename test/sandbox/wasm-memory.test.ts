import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { distFile } from '../../src/package.ts';
import { capMemory } from '../../src/sandbox/wasm-memory.ts';

interface Memory {
  buffer: ArrayBuffer;
  grow(pages: number): number;
}

const { WebAssembly } = globalThis as unknown as {
  WebAssembly: {
    Module: new (bytes: Uint8Array) => object;
    Instance: new (module: object, imports: object) => { exports: { memory: Memory } };
  };
};

/** A module with one exported memory whose limits are these bytes, between an empty type section and its export. */
const moduleOf = (...limits: number[]): Uint8Array =>
  Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...[1, 1, 0],
    ...[5, limits.length + 1, 1, ...limits],
    ...[7, 10, 1, 6, ...Buffer.from('memory'), 2, 0],
  ]);

const memoryOf = (module: Uint8Array): Memory =>
  new WebAssembly.Instance(new WebAssembly.Module(module), {}).exports.memory;

test.each([
  ['without a maximum', [0, 1]],
  ['with a higher maximum', [1, 1, 0xff, 0x01]],
  ['with a lower maximum', [1, 1, 2]],
])('a memory %s grows up to the cap and not a page further', (_what, limits) => {
  for (const pages of [3, 127, 128, 300]) {
    const memory = memoryOf(capMemory(moduleOf(...limits), pages));
    expect(memory.grow(pages - 1)).toBe(1);
    expect(memory.buffer.byteLength).toBe(pages * 65_536);
    expect(() => memory.grow(1)).toThrow(RangeError);
  }
});

test('the engine itself can be capped, but not below what it starts with', () => {
  const engine = readFileSync(distFile('sandbox/quickjs.wasm'));
  const capped = new WebAssembly.Module(capMemory(engine, 1_024));
  expect(capped).toBeInstanceOf(WebAssembly.Module);
  expect(() => new WebAssembly.Module(capMemory(engine, 4))).toThrow(/maximum memory size \(4 pages\)/);
});

test('what stands around the memory is kept byte for byte', () => {
  const engine = readFileSync(distFile('sandbox/quickjs.wasm'));
  const capped = Buffer.from(capMemory(engine, 1_024));
  expect(capped.length - engine.length).toBeLessThan(8);
  expect(capped.subarray(-100_000).equals(engine.subarray(-100_000))).toBe(true);
  expect(capped.subarray(0, 1_000).equals(engine.subarray(0, 1_000))).toBe(true);
});

test('a module without a memory of its own is an error, not an uncapped module', () => {
  expect(() => capMemory(Uint8Array.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 1, 0]), 10)).toThrow(/no memory section/);
});
