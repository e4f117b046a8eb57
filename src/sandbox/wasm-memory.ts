/** The part of WebAssembly's JavaScript interface that the engine needs; Node's own types leave it out. */
export const wasm = (
  globalThis as unknown as {
    WebAssembly: {
      compile(bytes: Uint8Array): Promise<WebAssembly.Module>;
      CompileError: new () => Error;
      RuntimeError: new () => Error;
    };
  }
).WebAssembly;

const memorySection = 5;
const hasMaximum = 1;
const headerBytes = 8;

/**
 * The WebAssembly module with the maximum of its memory set to `maxPages` (64 KiB each), so that growth beyond it fails
 * in the engine itself, whatever runs in it (WebAssembly core specification, binary format, memory section).
 */
export function capMemory(module: Uint8Array, maxPages: number): Uint8Array {
  for (let at = headerBytes; at < module.length; ) {
    const size = readVarint(module, at + 1);
    const start = at + 1 + size.bytes;
    if (module[at] === memorySection) return replaceSection(module, at, start, start + size.value, maxPages);
    at = start + size.value;
  }
  throw new Error('The WebAssembly module has no memory section');
}

function replaceSection(module: Uint8Array, at: number, start: number, end: number, maxPages: number): Uint8Array {
  const count = readVarint(module, start);
  const flagsAt = start + count.bytes;
  const minimum = readVarint(module, flagsAt + 1);
  const flags = (module[flagsAt] ?? 0) | hasMaximum;
  const body = [...writeVarint(count.value), flags, ...writeVarint(minimum.value), ...writeVarint(maxPages)];
  return Buffer.concat([
    module.subarray(0, at),
    Uint8Array.from([memorySection, ...writeVarint(body.length), ...body]),
    module.subarray(end),
  ]);
}

// Unsigned LEB128, as sizes are written in WebAssembly.
function readVarint(bytes: Uint8Array, at: number): { value: number; bytes: number } {
  let value = 0;
  for (let i = 0; ; i++) {
    const byte = bytes[at + i] ?? 0;
    value |= (byte & 0x7f) << (7 * i);
    if ((byte & 0x80) === 0) return { value: value >>> 0, bytes: i + 1 };
  }
}

function writeVarint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    bytes.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    rest >>>= 7;
  } while (rest > 0);
  return bytes;
}
