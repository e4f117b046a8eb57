import type { End, FromChild, GuestError, LimitName, ToChild } from './protocol.ts';
import { maxDepth } from './protocol.ts';
import { giveBack, type Image, type Say, takeVm, type Vm } from './vm.ts';
import { wasm } from './wasm-memory.ts';

type RunMessage = Extract<ToChild, { t: 'run' }>;

interface Watch {
  begin(job: number, budgetMs: number): void;
  end(): void;
}

/** One job on its thread: enters the engine in slices, counts what it uses, and ends exactly once. */
export class JobRun {
  readonly #message: RunMessage;
  readonly #post: (message: FromChild) => void;
  readonly #watch: Watch;
  readonly #forget: () => void;
  readonly #startedAt = performance.now();
  readonly #logs: string[] = [];
  #logBytes = 0;
  #cpuMs = 0;
  #sliceStart = 0;
  #wasInterrupted = false;
  #isLoading = true;
  #isBroken = false;
  #waiting = new Set<number>();
  #hostCalls = 0;
  #ended: End | undefined;
  #vm: Vm | undefined;
  #image: Image | undefined;

  constructor(message: RunMessage, post: (message: FromChild) => void, watch: Watch, forget: () => void) {
    this.#message = message;
    this.#post = post;
    this.#watch = watch;
    this.#forget = forget;
  }

  /** Asked by the engine between instructions: is its time over? */
  readonly isOver = (): boolean => {
    if (this.#sliceStart === 0 || performance.now() - this.#sliceStart <= this.#budget()) return false;
    this.#wasInterrupted = true;
    return true;
  };

  /** Hears what the program says. */
  readonly say: Say = (word, id, text, json) => {
    if (this.#ended) return;
    if (word === 'call') this.#call(id, text, json);
    else if (word === 'log') this.#log(text);
    else if (word === 'progress') this.#post({ t: 'progress', id: this.#message.id, progress: JSON.parse(json) });
    else if (word === 'done') this.#done(json);
    else if (word === 'output') this.#end({ ok: false, kind: 'limit', limit: 'output' });
    else if (word === 'bad') this.#end({ ok: false, kind: 'bad_output', message: text });
    else this.#end(endOf(JSON.parse(text), json === 'stringify'));
  };

  /** Loads the program in a slice of this job; undefined when the job ended in it. */
  load(load: () => Image): Image | undefined {
    let image: Image | undefined;
    this.#slice(() => {
      image = load();
    });
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

  async begin(image: Image): Promise<void> {
    this.#isLoading = false;
    if (this.#ended) return this.#report();
    this.#image = image;
    this.#vm = await takeVm(image, this.say, this.isOver);
    const { input, now, seed, limits } = this.#message;
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
    this.#ended = { ok: false, kind: 'lost', message: 'stopped' };
    if (this.#vm) this.#report();
  }

  #enter(work: (vm: Vm) => void): void {
    const vm = this.#vm;
    if (!vm || this.#ended) return;
    this.#slice(() => work(vm));
    if (!this.#ended && this.#waiting.size === 0) {
      const message = 'its promise never settles: nothing is left that could';
      this.#ended = { ok: false, kind: 'thrown', error: { name: 'Error', message } };
    }
    if (this.#ended) this.#report();
  }

  #slice(work: () => void): void {
    this.#sliceStart = performance.now();
    this.#watch.begin(this.#message.id, this.#budget());
    try {
      work();
    } catch (error) {
      this.#isBroken = true;
      this.#end(this.#endOfTrap(error));
    } finally {
      this.#watch.end();
      this.#cpuMs += performance.now() - this.#sliceStart;
      this.#sliceStart = 0;
    }
    // A program may catch the interruption itself; its time is over all the same.
    if (this.#wasInterrupted) {
      this.#isBroken = true;
      this.#ended = { ok: false, kind: 'limit', limit: 'cpu' };
    }
  }

  #budget(): number {
    return Math.max(this.#message.limits.cpuMs - this.#cpuMs, 0);
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
    this.#post({ t: 'call', id, call, name, json });
  }

  #log(line: string): void {
    const room = this.#message.limits.logBytes - this.#logBytes;
    if (room <= 0) return;
    this.#logs.push(line.length > room ? `${line.slice(0, room)}…` : line);
    this.#logBytes += line.length + 1;
  }

  #done(json: string): void {
    if (Buffer.byteLength(json) > this.#message.limits.outputBytes) return this.#limit('output');
    if (isTooDeep(json)) return this.#limit('depth');
    this.#end({ ok: true, json });
  }

  #limit(limit: LimitName): void {
    this.#end({ ok: false, kind: 'limit', limit });
  }

  #end(end: End): void {
    this.#ended ??= end;
  }

  // What the engine threw at the thread: its own errors have a name, a WebAssembly trap has none of its language's.
  #endOfTrap(error: unknown): End {
    if (this.#wasInterrupted) return { ok: false, kind: 'limit', limit: 'cpu' };
    const { name, message, stack } = error as Error;
    if (error instanceof wasm.RuntimeError) {
      return { ok: false, kind: 'limit', limit: /stack|recursion/i.test(message) ? 'stack' : 'memory' };
    }
    return endOf({ name, message, stack: stack ?? '' }, false);
  }

  #report(): void {
    this.#forget();
    if (this.#image && this.#vm) giveBack(this.#image, this.#vm, this.#isBroken || this.#waiting.size > 0);
    this.#vm = undefined;
    const usage = { wallMs: performance.now() - this.#startedAt, cpuMs: this.#cpuMs, hostCalls: this.#hostCalls };
    const end = this.#ended ?? thrown('ended without an answer');
    this.#post({ t: 'end', id: this.#message.id, logs: this.#logs, usage, end });
  }
}

const thrown = (message: string): End => ({ ok: false, kind: 'thrown', error: { name: 'Error', message } });

interface Explained extends GuestError {
  stack?: string;
}

/** What an error inside the engine means for the job. */
function endOf({ stack, ...error }: Explained, whileStringifying: boolean): End {
  if (error.name === 'InternalError' && /out of memory/.test(error.message))
    return { ok: false, kind: 'limit', limit: 'memory' };
  if (error.name === 'InternalError' && /interrupted/.test(error.message))
    return { ok: false, kind: 'limit', limit: 'cpu' };
  if (/stack (size|overflow)|call stack/i.test(error.message)) {
    return { ok: false, kind: 'limit', limit: whileStringifying ? 'depth' : 'stack' };
  }
  const line = /skill\.js:(\d+)/.exec(stack ?? '')?.[1];
  return { ok: false, kind: 'thrown', error: { ...error, ...(line !== undefined && { line: Number(line) }) } };
}

/** True when JSON text nests deeper than 64, without parsing it: parsing 200,000 levels would overflow the stack. */
export function isTooDeep(json: string): boolean {
  let depth = 0;
  for (let i = 0; i < json.length; i++) {
    const c = json.charCodeAt(i);
    if (c === 0x22) {
      for (i++; json.charCodeAt(i) !== 0x22 && i < json.length; i++) if (json.charCodeAt(i) === 0x5c) i++;
    } else if (c === 0x7b || c === 0x5b) {
      if (++depth > maxDepth) return true;
    } else if (c === 0x7d || c === 0x5d) depth--;
  }
  return false;
}
