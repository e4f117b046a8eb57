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
  snapshot: Snapshot;
  memory: Uint8Array;
  tokens: Record<BootFunction, number>;
  /** Instances whose memory has not grown: reset in place for the next call. */
  idle: Vm[];
}

type BootFunction = 'use' | 'run' | 'settle';
const bootFunctions: readonly BootFunction[] = ['use', 'run', 'settle'];

const pagesPerMb = 16;
const maxStackBytes = 400 * 1024;
const pregrowBytes = 1_000_000;
const keptIdle = 4;

/** One engine with the state of one call. */
export interface Vm {
  /** Calls a function of the boot code and then all jobs that became ready. Throws what the engine throws. */
  enter(name: BootFunction, ...args: (string | number | boolean)[]): void;
  /** Who listens now. */
  say: Say;
  /** True when the engine asks whether to stop. */
  isOver: () => boolean;
  engine: QuickJS;
  /** Where the boot functions are in the engine's memory. */
  tokens: Record<BootFunction, number>;
  call(name: BootFunction, ...args: JSValueHandle[]): void;
}

const modules = new Map<number, Promise<WebAssembly.Module>>();

/** The engine's module with its memory capped, compiled once per size. */
export function compileEngine(file: string, memoryMb: number): Promise<WebAssembly.Module> {
  const known = modules.get(memoryMb);
  if (known) return known;
  const made = wasm.compile(capMemory(readFileSync(file), memoryMb * pagesPerMb));
  modules.set(memoryMb, made);
  return made;
}

/** An empty engine, for `loadImage`. */
export function createVm(module: WebAssembly.Module, memoryMb: number, say: Say, isOver: () => boolean): Promise<Vm> {
  const made: Promise<Vm> = QuickJS.create(engineOptions(module, memoryMb, isOver)).then((engine) =>
    bind(engine, say, isOver),
  );
  return made;
}

/** Loads a program into an empty engine, whose `say` hears what goes wrong, and uses it up. */
export function loadImage(module: WebAssembly.Module, memoryMb: number, vm: Vm, program: string): Image {
  const { engine } = vm;
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
  const snapshot = engine.snapshot();
  const image = { module, memoryMb, snapshot, memory: new Uint8Array(snapshot.memory), tokens: vm.tokens, idle: [] };
  engine.dispose();
  return image;
}

/** An engine in the state of the image: an idle one reset in place, or a new one. */
export async function takeVm(image: Image, say: Say, isOver: () => boolean): Promise<Vm> {
  const idle = image.idle.pop();
  if (idle && resetInPlace(idle.engine, image)) {
    idle.say = say;
    idle.isOver = isOver;
    return idle;
  }
  const options = engineOptions(image.module, image.memoryMb, () => vm.isOver());
  const vm = bind(await QuickJS.restore(image.snapshot, options), say, isOver);
  vm.tokens = image.tokens;
  vm.engine.registerHostCallback(
    'say',
    listener(() => vm),
  );
  return vm;
}

/** Gives an engine back; one that grew, or in which something broke, is thrown away. */
export function giveBack(image: Image, vm: Vm, isBroken: boolean): void {
  const memory = privateParts(vm.engine)?.exports.memory;
  const isAsBefore = memory?.buffer.byteLength === image.memory.byteLength;
  if (!isBroken && isAsBefore && image.idle.length < keptIdle) image.idle.push(vm);
  else if (!isBroken) vm.engine.dispose();
  // A broken engine is left to the garbage collector: calling into it again may trap.
}

const engineOptions = (module: WebAssembly.Module, memoryMb: number, interruptHandler: () => boolean) => ({
  wasm: module,
  memoryLimit: memoryMb * 2 ** 20,
  maxStackSize: maxStackBytes,
  interruptHandler,
});

function bind(engine: QuickJS, say: Say, isOver: () => boolean): Vm {
  return {
    engine,
    say,
    isOver,
    tokens: { use: 0, run: 0, settle: 0 },
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
    vm().say(word.toString(), id.toNumber(), text.toString(), json.toString());
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
// point into the old memory, so they are forgotten.
function resetInPlace(engine: QuickJS, { memory, snapshot }: Image): boolean {
  const parts = privateParts(engine);
  if (!parts) return false;
  new Uint8Array(parts.exports.memory.buffer).set(memory);
  const { runtimePtr, contextPtr, stackPointer } = snapshot as unknown as Record<
    'runtimePtr' | 'contextPtr' | 'stackPointer',
    number
  >;
  parts.exports.qjs_set_runtime_and_context(runtimePtr, contextPtr);
  parts.exports.__stack_pointer.value = stackPointer;
  parts._global = parts._undefined = parts._null = parts._true = parts._false = undefined;
  parts._ownedHandles?.clear?.();
  return true;
}
