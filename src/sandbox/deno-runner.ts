import type { Progress } from '../contracts.ts';
import { bootSource } from './boot.ts';
import { endOf, readError, readProgress } from './guest-text.ts';
import { type End, type FromChild, fromLine, type ToChild, toLine } from './protocol.ts';

// Runs inside of Deno, in the realm of the program itself: nothing here is out of its reach. What bounds it is the process,
// which may do nothing, and the server, which believes no message more than it would the program.

declare const Deno: {
  stdin: { readable: ReadableStream<Uint8Array> };
  stdout: { writeSync(bytes: Uint8Array): number };
  exit(code: number): never;
};

type Run = Extract<ToChild, { t: 'run' }>;

interface Boot {
  use(module: Promise<unknown>): void;
  run(input: string, now: number, seed: number, maxOutput: number): Promise<void>;
  settle(call: number, ok: boolean, json: string): void;
}

const freeProgress = 100;
const tellEveryMs = 50;
const { stdin, stdout, exit } = Deno;
const write = stdout.writeSync.bind(stdout);
const encoder = new TextEncoder();
const decoder = new TextDecoder();
const { setTimeout: startTimer, clearTimeout: endTimer, setInterval: startTicks, clearInterval: endTicks } = globalThis;
const toBase64 = globalThis.btoa;
const clock = performance.now.bind(performance);

let job: Run | undefined;
let startedAt = 0;
let hostCalls = 0;
let open = 0;
let logs: string[] = [];
let logCharacters = 0;
let told = 0;
let toldAt = 0;
let untold: Progress | undefined;

// A program may give every object a toJSON of its own. That harms only its own call, which would then never end.
const { prototype } = Object;
const listPrototype = Array.prototype;
function tell(message: FromChild): void {
  Reflect.deleteProperty(prototype, 'toJSON');
  Reflect.deleteProperty(listPrototype, 'toJSON');
  const bytes = encoder.encode(toLine(message));
  for (let at = 0; at < bytes.length; ) at += write(bytes.subarray(at));
}

function end(how: End): void {
  if (!job) return;
  const { id } = job;
  tellProgress();
  job = undefined;
  dropTimers();
  const usage = { wallMs: clock() - startedAt, cpuMs: 0, hostCalls };
  tell({ t: 'end', id, logs, usage, end: how });
  logs = [];
}

// The same words as in the other engine: what the program says is judged here and again in the server.
function say(word: string, id: number, text: string, json: string): void {
  if (!job) return;
  if (word === 'call') {
    hostCalls++;
    open++;
    const { hostCalls: most, hostCallsAtOnce } = job.limits;
    // The server counts as well, but it may have answered some by the time that it hears of the last.
    if (hostCalls > most || open > hostCallsAtOnce) return end({ ok: false, kind: 'limit', limit: 'host_calls' });
    tell({ t: 'call', id: job.id, call: id, name: text, json });
  } else if (word === 'log') log(text);
  else if (word === 'progress') {
    untold = readProgress(json) ?? untold;
    if (told < freeProgress || clock() - toldAt >= tellEveryMs) tellProgress();
  } else end(endFor(word, text, json));
}

// The first hundred are told each; of thousands a second the latest is enough.
function tellProgress(): void {
  if (!job || !untold) return;
  toldAt = clock();
  told++;
  tell({ t: 'progress', id: job.id, progress: untold });
  untold = undefined;
}

function endFor(word: string, text: string, json: string): End {
  if (word === 'done') return { ok: true, json };
  if (word === 'output') return { ok: false, kind: 'limit', limit: 'output' };
  if (word === 'deep') return { ok: false, kind: 'limit', limit: 'depth' };
  if (word === 'bad') return { ok: false, kind: 'bad_output', message: text };
  const { stack, ...error } = readError(text);
  // The program is a data: address, of which each frame shows the beginning and the end.
  const frames = stack.replaceAll(/data:text\/javascript;base64,[\w+/=.]*:(\d+):\d+/g, 'skill.js:$1');
  return endOf({ ...error, stack: frames }, json === 'stringify');
}

function log(line: string): void {
  const room = (job?.limits.logBytes ?? 0) - logCharacters;
  if (room <= 0) return;
  logs.push(line.length > room ? `${line.slice(0, room)}…` : line);
  logCharacters += line.length + 1;
}

// Timers belong to the call that set them.
const timers = new Map<number, () => void>();
function dropTimers(): void {
  for (const drop of timers.values()) drop();
  timers.clear();
}
type Handler = (...args: unknown[]) => void;
globalThis.setTimeout = ((handler: Handler, ms?: number, ...args: unknown[]) => {
  const id = startTimer(() => {
    timers.delete(Number(id));
    handler(...args);
  }, ms);
  timers.set(Number(id), () => endTimer(id));
  return id;
}) as typeof globalThis.setTimeout;
globalThis.setInterval = ((handler: Handler, ms?: number, ...args: unknown[]) => {
  const id = startTicks(handler, ms, ...args);
  timers.set(Number(id), () => endTicks(id));
  return id;
}) as typeof globalThis.setInterval;

// All of them are without power here; what they would keep or ask for is nobody's.
const removed = [
  ...['Deno', 'localStorage', 'sessionStorage', 'caches', 'Cache', 'CacheStorage', 'BroadcastChannel', 'Worker'],
  ...['alert', 'prompt', 'confirm', 'EventSource', 'WebSocket', 'WebSocketStream', 'navigator', 'close', 'fetch'],
];
for (const name of removed) {
  Reflect.deleteProperty(globalThis, name);
  if (name in globalThis) Object.defineProperty(globalThis, name, { value: undefined });
}
// What nobody awaited must not end the process.
const { addEventListener } = globalThis as unknown as Pick<EventTarget, 'addEventListener'>;
for (const kind of ['unhandledrejection', 'error']) addEventListener(kind, (event) => event.preventDefault());

const boot: Boot = new Function(`return ${bootSource}`)()(say);
let loading: Promise<unknown> | undefined;

function load(text: string): Promise<unknown> {
  const bytes = encoder.encode(text);
  let binary = '';
  for (let at = 0; at < bytes.length; at += 8_192) binary += String.fromCharCode(...bytes.subarray(at, at + 8_192));
  const module = import(`data:text/javascript;base64,${toBase64(binary)}`);
  boot.use(module);
  return module.catch(() => {});
}

async function begin(run: Run): Promise<void> {
  job = run;
  startedAt = clock();
  hostCalls = 0;
  open = 0;
  logCharacters = 0;
  told = 0;
  untold = undefined;
  if (run.text !== undefined) loading = load(run.text);
  await loading;
  // It said itself why it could not be loaded; the next call says it again, from the start.
  if (job !== run) return exit(1);
  await boot.run(run.input, run.now, run.seed, run.limits.outputBytes);
}

function hear(message: ToChild): void {
  if (message.t === 'run') void begin(message);
  else if (message.t === 'answer' && message.id === job?.id) {
    open--;
    if (message.ok) boot.settle(message.call, true, message.json);
    else boot.settle(message.call, false, JSON.stringify(message.error));
  }
}

tell({ t: 'ready' });
let rest = '';
for await (const chunk of stdin.readable) {
  rest += decoder.decode(chunk, { stream: true });
  for (let at = rest.indexOf('\n'); at >= 0; at = rest.indexOf('\n')) {
    const line = rest.slice(0, at);
    rest = rest.slice(at + 1);
    hear(fromLine(line));
  }
}
