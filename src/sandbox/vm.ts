import { readFileSync } from 'node:fs';
import { EvalFlags, type JSValueHandle, QuickJS, type Snapshot } from 'quickjs-wasi';
import { bootSource } from './boot.ts';
import { capMemory, wasm } from './wasm-memory.ts';

/** What the engine tells the thread: a word, a number, two texts. */
export type Say = (word: string, id: number, text: string, json: string) => void;

/** A program that has been loaded once: the engine's memory just after that, ready for any number of calls. */
export interface Image {
  module: WebAssembly.Module;
  memoryMb: number;
  /** Without its memory, which stands in `stretches`. */
  snapshot: Snapshot;
  size: number;
  /** What is not all zero of it: a quarter of the whole. */
  stretches: Stretch[];
  /** What it takes in memory. */
  bytes: number;
  tokens: Record<BootFunction, number>;
}

interface Stretch {
  at: number;
  bytes: Uint8Array;
}

type BootFunction = 'use' | 'run' | 'settle';
const bootFunctions: readonly BootFunction[] = ['use', 'run', 'settle'];

const pagesPerMb = 16;
const maxStackBytes = 400 * 1024;
const pregrowBytes = 1_000_000;
const pageBytes = 4_096;
const zeroPage = Buffer.alloc(pageBytes);
const keptIdle = 8;
const keptIdleBytes = 2 ** 25;

/** One engine with the state of one call. */
export interface Vm {
  /** Calls a function of the boot code and then all jobs that became ready. Throws what the engine throws. */
  enter(name: BootFunction, ...args: (string | number | boolean)[]): void;
  /** Who listens now. */
  say: Say;
  /** True when the engine asks whether to stop. */
  isOver: () => boolean;
  engine: QuickJS;
  module: WebAssembly.Module;
  memoryMb: number;
  /** Where the boot functions are in the engine's memory. */
  tokens: Record<BootFunction, number>;
  /** Of an idle one: the image in whose state it is. */
  readyFor: Image | undefined;
  call(name: BootFunction, ...args: JSValueHandle[]): void;
}

const modules = new Map<number, Promise<WebAssembly.Module>>();
/** Engines whose memory has not grown, to be reset in place for the next call of any program; the last one used last. */
const idle: Vm[] = [];

/** The engine's module with its memory capped, compiled once per size. */
export function compileEngine(file: string, memoryMb: number): Promise<WebAssembly.Module> {
  const known = modules.get(memoryMb);
  if (known) return known;
  const made = wasm.compile(capMemory(readFileSync(file), memoryMb * pagesPerMb));
  modules.set(memoryMb, made);
  return made;
}

/** An empty engine, for `loadImage`. */
export async function createVm(
  module: WebAssembly.Module,
  memoryMb: number,
  say: Say,
  isOver: () => boolean,
): Promise<Vm> {
  const engine = await QuickJS.create(engineOptions(module, memoryMb, isOver));
  return bind(engine, { module, memoryMb, say, isOver });
}

/** Loads a program into an empty engine, whose `say` hears what goes wrong, and uses it up. */
export function loadImage(vm: Vm, program: string): Image {
  const { engine, module, memoryMb } = vm;
  const channel = engine.newFunction(
    'say',
    listener(() => vm),
  );
  const boot = engine.evalCode(bootSource, 'boot.js');
  const functions = engine.callFunction(boot, engine.undefined, channel);
  for (const name of bootFunctions) vm.tokens[name] = engine.exportHandle(functions.getProp(name));
  grow(engine);
  vm.call('use', engine.evalCode(program, 'skill.js', EvalFlags.TYPE_MODULE));
  engine.executePendingJobs();
  const { memory, ...snapshot } = engine.snapshot();
  engine.dispose();
  const stretches = stretchesOf(memory);
  return {
    module,
    memoryMb,
    snapshot: { ...snapshot, memory: new Uint8Array() },
    size: memory.byteLength,
    stretches,
    bytes: stretches.reduce((sum, { bytes }) => sum + bytes.byteLength, 0),
    tokens: vm.tokens,
  };
}

/** An engine in the state of the image: an idle one reset in place, or a new one. */
export async function takeVm(image: Image, say: Say, isOver: () => boolean): Promise<Vm> {
  const { module, memoryMb, size, snapshot, tokens } = image;
  const old = takeIdle(image);
  if (old && (old.readyFor === image || resetInPlace(old.engine, image)))
    return Object.assign(old, { say, isOver, tokens, readyFor: undefined });
  const memory = new Uint8Array(size);
  write(memory, image);
  const options = engineOptions(module, memoryMb, () => vm.isOver());
  const vm = bind(await QuickJS.restore({ ...snapshot, memory }, options), { module, memoryMb, say, isOver });
  vm.tokens = tokens;
  vm.engine.registerHostCallback(
    'say',
    listener(() => vm),
  );
  return vm;
}

// One that is in the image's state already, or else the one used last: its program may not be called again.
function takeIdle(image: Image): Vm | undefined {
  const fits = (vm: Vm): boolean => vm.module === image.module && memoryBytes(vm) === image.size;
  const ready = idle.findLastIndex((vm) => vm.readyFor === image);
  const at = ready < 0 ? idle.findLastIndex(fits) : ready;
  return at < 0 ? undefined : idle.splice(at, 1)[0];
}

/**
 * Gives an engine back; one that grew, or in which something broke, is thrown away. The others are reset at once, after
 * the answer and not before the next.
 */
export function giveBack(image: Image, vm: Vm, isBroken: boolean): void {
  // A broken engine is left to the garbage collector: calling into it again may trap.
  if (isBroken) return;
  if (memoryBytes(vm) !== image.size) return vm.engine.dispose();
  if (resetInPlace(vm.engine, image)) vm.readyFor = image;
  idle.push(vm);
  let bytes = idle.reduce((sum, one) => sum + memoryBytes(one), 0);
  while (idle.length > keptIdle || bytes > keptIdleBytes) bytes -= memoryBytes(idle.shift() ?? vm);
}

/** Bytes of memory that an engine has; 0 where the library does not tell. */
export const memoryBytes = (vm: Vm): number => privateParts(vm.engine)?.exports.memory.buffer.byteLength ?? 0;

/** True when an engine has grown to its cap, give or take a megabyte. */
export const isFull = (vm: Vm): boolean => memoryBytes(vm) >= (vm.memoryMb - 1) * 2 ** 20;

const engineOptions = (module: WebAssembly.Module, memoryMb: number, interruptHandler: () => boolean) => ({
  wasm: module,
  memoryLimit: memoryMb * 2 ** 20,
  maxStackSize: maxStackBytes,
  interruptHandler,
  // The host's time zone is not the program's business, and its answers would differ from machine to machine.
  timezoneOffset: 0,
});

function bind(engine: QuickJS, parts: Pick<Vm, 'module' | 'memoryMb' | 'say' | 'isOver'>): Vm {
  return {
    ...parts,
    engine,
    tokens: { use: 0, run: 0, settle: 0 },
    readyFor: undefined,
    call(name, ...args) {
      const target = engine.importHandle(this.tokens[name]);
      try {
        engine.callFunction(target, engine.undefined, ...args).dispose();
      } finally {
        target.dispose();
      }
    },
    enter(name, ...args) {
      const handles = args.map((arg) => toHandle(engine, arg));
      this.call(name, ...handles);
      for (const handle of handles) handle.dispose();
      engine.executePendingJobs();
    },
  };
}

function toHandle(engine: QuickJS, value: string | number | boolean): JSValueHandle {
  if (typeof value === 'string') return engine.newString(value);
  return typeof value === 'number' ? engine.newNumber(value) : value ? engine.true : engine.false;
}

const listener =
  (vm: () => Vm) =>
  (word: JSValueHandle, id: JSValueHandle, text: JSValueHandle, json: JSValueHandle): JSValueHandle => {
    try {
      vm().say(word.toString(), id.toNumber(), text.toString(), json.toString());
    } catch (error) {
      // As text: the library would hand the program the stack of an error, and with it the host's paths.
      throw String((error as Error).message);
    }
    return vm().engine.undefined;
  };

// Most programs then fit into the memory that the image has, and their engines can be reset in place.
function grow(engine: QuickJS): void {
  const blocks = Math.ceil(pregrowBytes / 16_384);
  engine
    .evalCode(`{ let a = []; for (let i = 0; i < ${blocks}; i++) a.push(new Uint8Array(16384)); a = null; }`, 'grow.js')
    .dispose();
  engine.runGC();
}

interface PrivateParts {
  exports: {
    memory: { buffer: ArrayBuffer };
    __stack_pointer: { value: number };
    qjs_set_runtime_and_context(runtime: number, context: number): void;
  };
  _global?: unknown;
  _undefined?: unknown;
  _null?: unknown;
  _true?: unknown;
  _false?: unknown;
  _ownedHandles?: { clear?(): void };
}

/** The parts of quickjs-wasi that are private to it, or undefined where another version has no such parts. */
function privateParts(engine: QuickJS): PrivateParts | undefined {
  const parts = engine as unknown as Partial<PrivateParts>;
  const { exports } = parts;
  const isKnown =
    exports?.memory && exports.__stack_pointer && typeof exports.qjs_set_runtime_and_context === 'function';
  return isKnown ? (parts as PrivateParts) : undefined;
}

// Copies the image over the engine's memory: 0.04 ms, against 1.7 ms for a restore. The handles that the library caches
// point into the old memory, so they are forgotten. Nothing else in an engine outlives its memory: the module has one
// global that changes, the stack pointer.
function resetInPlace(engine: QuickJS, image: Image): boolean {
  const parts = privateParts(engine);
  if (!parts) return false;
  write(new Uint8Array(parts.exports.memory.buffer).fill(0), image);
  const { runtimePtr, contextPtr, stackPointer } = image.snapshot as unknown as Record<
    'runtimePtr' | 'contextPtr' | 'stackPointer',
    number
  >;
  parts.exports.qjs_set_runtime_and_context(runtimePtr, contextPtr);
  parts.exports.__stack_pointer.value = stackPointer;
  parts._global = parts._undefined = parts._null = parts._true = parts._false = undefined;
  parts._ownedHandles?.clear?.();
  return true;
}

function stretchesOf(memory: Uint8Array): Stretch[] {
  const stretches: Stretch[] = [];
  let from: number | undefined;
  for (let at = 0; at <= memory.byteLength; at += pageBytes) {
    const isZero = at === memory.byteLength || zeroPage.equals(memory.subarray(at, at + pageBytes));
    if (!isZero) from ??= at;
    else if (from !== undefined) {
      stretches.push({ at: from, bytes: memory.slice(from, at) });
      from = undefined;
    }
  }
  return stretches;
}

function write(memory: Uint8Array, { stretches }: Image): void {
  for (const { at, bytes } of stretches) memory.set(bytes, at);
}
