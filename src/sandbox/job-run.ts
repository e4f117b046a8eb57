import type { Progress } from '../contracts.ts';
import { type EngineError, endOf, isMemoryText, readError, readProgress } from './guest-text.ts';
import type { End, FromChild, LimitName, ToChild } from './protocol.ts';
import { isTooDeep } from './protocol.ts';
import { giveBack, type Image, isFull, memoryBytes, type Say, takeVm, type Vm } from './vm.ts';
import { wasm } from './wasm-memory.ts';

type RunMessage = Extract<ToChild, { t: 'run' }>;

const freeProgress = 100;
const tellEveryMs = 50;
const maxNameChars = 200;
// What quickjs-wasi reads for a text that the engine has no memory to hand over.
const unreadable = '<null>';
// What it throws when the engine has no memory for a text that is handed in.
const noMemory = 'wasm_malloc failed';

interface Host {
  post(message: FromChild): void;
  beginSlice(job: number, budgetMs: number): void;
  endSlice(): void;
  /** True when the job whose slice it is was stopped meanwhile: its message cannot be heard before the slice ends. */
  isStopped(job: number): boolean;
  /** True when the jobs that wait on this thread hold too much memory. */
  isCrowded(): boolean;
  forget(job: number): void;
}

const stopped: End = { ok: false, kind: 'lost', message: 'stopped' };

/** One job on its thread: enters the engine in slices, counts what it uses, and ends exactly once. */
export class JobRun {
  readonly #message: RunMessage;
  readonly #host: Host;
  readonly #startedAt = performance.now();
  readonly #logs: string[] = [];
  #logBytes = 0;
  #cpuMs = 0;
  #sliceStart = 0;
  #sliceMs = 0;
  #sliceLimit: LimitName = 'cpu';
  #wasInterrupted = false;
  #isLoading = true;
  #isBroken = false;
  #isReported = false;
  #waiting = new Set<number>();
  #hostCalls = 0;
  #toldAt = -tellEveryMs;
  #told = 0;
  #untold: Progress | undefined;
  #ended: End | undefined;
  #vm: Vm | undefined;
  #image: Image | undefined;

  constructor(message: RunMessage, host: Host) {
    this.#message = message;
    this.#host = host;
  }

  /** What its engine holds. */
  get memoryBytes(): number {
    return this.#vm ? memoryBytes(this.#vm) : 0;
  }

  /**
   * Asked by the engine between instructions: must it stop? Then it throws, which leaves the engine at once: what it would
   * throw inside itself for an answer of `true`, a promise's executor swallows.
   */
  readonly isOver = (): boolean => {
    if (!this.#ended && this.#host.isStopped(this.#message.id)) this.#ended = stopped;
    const isLate = this.#sliceStart > 0 && performance.now() - this.#sliceStart > this.#sliceMs;
    if (!this.#ended && !isLate) return false;
    this.#wasInterrupted ||= !this.#ended;
    throw new Error('interrupted');
  };

  /** Hears what the program says. */
  readonly say: Say = (word, id, text, json) => {
    if (this.#ended) return;
    if (json === unreadable) this.#limit('memory');
    else if (word === 'call') this.#call(id, text, json);
    else if (word === 'log') this.#log(text);
    else if (word === 'progress') this.#progress(json);
    else if (word === 'done') this.#done(json);
    else if (word === 'output') this.#limit('output');
    else if (word === 'deep') this.#limit('depth');
    else if (word === 'bad') this.#bad(text);
    else this.#end(this.#endOf(readError(text), json === 'stringify'));
  };

  /** Loads the program in a slice of this job; undefined when the job ended in it. */
  load(vm: Vm, load: () => Image): Image | undefined {
    let image: Image | undefined;
    this.#vm = vm;
    this.#slice(() => {
      image = load();
    });
    this.#vm = undefined;
    if (!this.#ended) return image;
    this.#report();
    return undefined;
  }

  /** Ends the job when the engine itself could not be made. */
  fail(error: unknown): void {
    this.#isBroken = true;
    this.#end(this.#endOfTrap(error));
    this.#report();
  }

  /** Hands the job back: its program is not here. */
  giveUp(): void {
    if (this.#ended) return this.#report();
    this.#isReported = true;
    this.#host.forget(this.#message.id);
    this.#host.post({ t: 'need', id: this.#message.id });
  }

  async begin(image: Image): Promise<void> {
    this.#isLoading = false;
    if (this.#ended) return this.#report();
    this.#vm = await takeVm(image, this.say, this.isOver);
    this.#image = image;
    // It may have been stopped while its engine was made.
    if (this.#ended) return this.#report();
    const { input, now, seed, limits } = this.#message;
    this.#message.input = '';
    this.#enter((vm) => vm.enter('run', input, now, seed, limits.outputBytes));
  }

  answer(message: Extract<ToChild, { t: 'answer' }>): void {
    if (this.#ended || !this.#waiting.delete(message.call)) return;
    const json = message.ok ? message.json : JSON.stringify(message.error);
    this.#enter((vm) => vm.enter('settle', message.call, message.ok, json));
  }

  /** Ends the job without an answer; the server has answered already. */
  stop(): void {
    if (this.#ended) return;
    this.#ended = stopped;
    if (this.#vm) this.#report();
  }

  #enter(work: (vm: Vm) => void): void {
    const vm = this.#vm;
    if (!vm || this.#ended) return;
    this.#slice(() => work(vm));
    if (!this.#ended && this.#waiting.size === 0) {
      const message = 'its promise never settles: nothing is left that could';
      this.#end(isFull(vm) ? memoryEnd : thrown(message));
    }
    if (!this.#ended && this.#host.isCrowded()) this.#end({ ok: false, kind: 'busy' });
    if (this.#ended) this.#report();
  }

  #slice(work: () => void): void {
    this.#setBudget();
    this.#sliceStart = performance.now();
    this.#host.beginSlice(this.#message.id, this.#sliceMs);
    try {
      work();
    } catch (error) {
      this.#isBroken = true;
      this.#end(this.#endOfTrap(error));
    } finally {
      this.#host.endSlice();
      this.#cpuMs += performance.now() - this.#sliceStart;
      this.#sliceStart = 0;
    }
    this.#tell();
  }

  // Code that computes longer than the call may take at all computes for nobody.
  #setBudget(): void {
    const { cpuMs, wallMs } = this.#message.limits;
    const cpuLeft = cpuMs - this.#cpuMs;
    const wallLeft = wallMs - (performance.now() - this.#startedAt);
    this.#sliceMs = Math.max(Math.min(cpuLeft, wallLeft), 0);
    this.#sliceLimit = wallLeft < cpuLeft ? 'wall' : 'cpu';
  }

  #call(call: number, name: string, json: string): void {
    const { limits, id } = this.#message;
    this.#hostCalls++;
    if (this.#isLoading) return this.#end(thrown('a tool cannot be called while the module loads'));
    if (this.#hostCalls > limits.hostCalls || this.#waiting.size >= limits.hostCallsAtOnce)
      return this.#limit('host_calls');
    if (json.length > limits.outputBytes) return this.#limit('output');
    if (isTooDeep(json)) return this.#limit('depth');
    this.#waiting.add(call);
    this.#say({ t: 'call', id, call, name: name.slice(0, maxNameChars), json });
  }

  #log(line: string): void {
    const room = this.#message.limits.logBytes - this.#logBytes;
    if (room <= 0) return;
    const bytes = Buffer.byteLength(line);
    this.#logs.push(bytes > room ? `${Buffer.from(line).subarray(0, room).toString()}…` : line);
    this.#logBytes += bytes + 1;
  }

  // The first hundred are told each; thousands a second would reach the listener only late, and fill the pipe until then,
  // so of those the latest is enough.
  #progress(json: string): void {
    this.#untold = readProgress(json) ?? this.#untold;
    if (this.#told < freeProgress || performance.now() - this.#toldAt >= tellEveryMs) this.#tell();
  }

  #tell(): void {
    if (!this.#untold) return;
    this.#toldAt = performance.now();
    this.#told++;
    this.#say({ t: 'progress', id: this.#message.id, progress: this.#untold });
    this.#untold = undefined;
  }

  // Saying it may take until the server reads: that is not the program's time.
  #say(message: FromChild): void {
    const startedAt = performance.now();
    this.#host.post(message);
    if (this.#sliceStart > 0) this.#sliceStart += performance.now() - startedAt;
  }

  #done(json: string): void {
    if (Buffer.byteLength(json) > this.#message.limits.outputBytes) return this.#limit('output');
    if (isTooDeep(json)) return this.#limit('depth');
    this.#end({ ok: true, json });
  }

  #bad(message: string): void {
    this.#end(this.#isOutOfMemory(message) ? memoryEnd : { ok: false, kind: 'bad_output', message });
  }

  #limit(limit: LimitName): void {
    this.#end({ ok: false, kind: 'limit', limit });
  }

  #end(end: End): void {
    this.#ended ??= end;
  }

  #isOutOfMemory(message: string): boolean {
    return this.#vm !== undefined && isFull(this.#vm) && isMemoryText(message);
  }

  #endOf(error: EngineError, whileStringifying: boolean): End {
    if (this.#isOutOfMemory(error.message)) return memoryEnd;
    return endOf(error, whileStringifying);
  }

  // What the engine threw at the thread: its own errors have a name, a WebAssembly trap has none of its language's.
  #endOfTrap(error: unknown): End {
    // A job of the engine's own queue for which there is no memory is dropped without a word, and the program goes on.
    const isStarved = this.#vm !== undefined && isFull(this.#vm);
    if (this.#wasInterrupted) return isStarved ? memoryEnd : { ok: false, kind: 'limit', limit: this.#sliceLimit };
    // The module is known to be good: only a cap below what it starts with keeps it from compiling.
    if (error instanceof wasm.CompileError) return memoryEnd;
    const { name, message, stack } = error as Error;
    if (message === noMemory) return memoryEnd;
    if (error instanceof wasm.RuntimeError) {
      return { ok: false, kind: 'limit', limit: /stack|recursion/i.test(message) ? 'stack' : 'memory' };
    }
    return this.#endOf({ name, message, stack: stack ?? '' }, false);
  }

  #report(): void {
    if (this.#isReported) return;
    this.#isReported = true;
    this.#host.forget(this.#message.id);
    const usage = { wallMs: performance.now() - this.#startedAt, cpuMs: this.#cpuMs, hostCalls: this.#hostCalls };
    const end = this.#ended ?? thrown('ended without an answer');
    this.#host.post({ t: 'end', id: this.#message.id, logs: this.#logs, usage, end });
    if (this.#image && this.#vm) giveBack(this.#image, this.#vm, this.#isBroken || this.#waiting.size > 0);
    this.#vm = undefined;
  }
}

const memoryEnd: End = { ok: false, kind: 'limit', limit: 'memory' };

const thrown = (message: string): End => ({ ok: false, kind: 'thrown', error: { name: 'Error', message } });
