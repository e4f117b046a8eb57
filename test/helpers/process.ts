import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, type ClientOptions } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { afterAll } from 'vitest';
import { distFile } from '../../src/package.ts';

/** The built command, as a user starts it. */
export const command = distFile('cli/main.js');

/** Generous: only a process that hangs needs so long. */
export const watchdogMs = 10_000;

const cleanups: (() => unknown)[] = [];
afterAll(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

/** A folder that goes when the test file ends; tests that run at once may share none. */
export function makeHome(): string {
  const folder = mkdtempSync(join(tmpdir(), 'toolweaver-test-'));
  cleanups.push(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

/** Does `clean` when the test file ends. */
export const atEnd = (clean: () => unknown): void => void cleanups.push(clean);

interface StartOptions {
  home: string;
  env?: Record<string, string>;
  cwd?: string;
  /** Another user to run as; needs root and the program runuser. */
  user?: string;
  /** At a terminal of its own. */
  isTerminal?: boolean;
  /** Another built command, such as a damaged copy. */
  script?: string;
}

// Nothing of the environment of the tests reaches what is tested, but how to find programs.
function environment({ home, env }: StartOptions): Record<string, string> {
  return { PATH: process.env.PATH ?? '', HOME: home, TERM: 'xterm', TOOLWEAVER_HOME: home, ...env };
}

const quote = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;

function start(args: readonly string[], options: StartOptions): ChildProcessWithoutNullStreams {
  let words = [process.execPath, options.script ?? command, ...args];
  if (options.isTerminal) words = ['script', '-qec', words.map(quote).join(' '), '/dev/null'];
  if (options.user) words = ['runuser', '-u', options.user, '--', ...words];
  const [program = '', ...rest] = words;
  const child = spawn(program, rest, { env: environment(options), ...(options.cwd && { cwd: options.cwd }) });
  cleanups.push(() => child.kill('SIGKILL'));
  child.stdin.on('error', () => {
    // It ended before it read all; its exit says what that means.
  });
  return child;
}

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
}

const endOf = (child: ChildProcessWithoutNullStreams): Promise<Ended> =>
  new Promise((resolve) => child.once('close', (code, signal) => resolve({ code, signal })));

export interface CliResult extends Ended {
  stdout: string;
  stderr: string;
}

interface RunOptions extends StartOptions {
  /** What it reads; nothing when absent, and never an end when `null`. */
  input?: string | null;
  /** Stops it, as Ctrl-C does, as soon as this is so of what it has printed, or of its process. */
  stopWhen?: (stdout: string, pid: number) => boolean;
  /** Types this as soon as that is so of what it has printed. */
  typesWhen?: readonly [(stdout: string) => boolean, string];
  /** Nobody reads what it prints. */
  isUnread?: boolean;
}

/** Runs one command to its end. */
export async function runCli(args: readonly string[], options: RunOptions): Promise<CliResult> {
  const child = start(args, options);
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const { input = '', stopWhen, typesWhen, isUnread } = options;
  if (input !== null) child.stdin.end(input);
  if (isUnread) child.stdout.destroy();
  if (stopWhen) void until(() => stopWhen(stdout, child.pid ?? 0)).then(() => child.kill('SIGINT'));
  if (typesWhen) void until(() => typesWhen[0](stdout)).then(() => child.stdin.write(typesWhen[1]));
  const watchdog = setTimeout(() => child.kill('SIGKILL'), 30_000);
  const ended = await endOf(child);
  clearTimeout(watchdog);
  return { ...ended, stdout, stderr };
}

export interface WorkerProcess {
  child: ChildProcessWithoutNullStreams;
  stdout(): string;
  stderr(): string;
  ended: Promise<Ended>;
}

/** Starts `toolweaver worker`, and waits until it says that it works. */
export async function startWorker(options: StartOptions, ...args: string[]): Promise<WorkerProcess> {
  const child = start(['worker', '--json', ...args], options);
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const ended = endOf(child);
  if (!(await until(() => stdout.includes('\n')))) throw new Error(`The worker did not start: ${stderr}`);
  return { child, stdout: () => stdout, stderr: () => stderr, ended };
}

export interface Message {
  jsonrpc?: string;
  id?: number | string | null;
  method?: string;
  // biome-ignore lint/suspicious/noExplicitAny: what a server says is looked into freely by tests
  params?: any;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  result?: any;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  error?: any;
}

/** A server whose bytes are read as they come. */
export interface RawServer {
  child: ChildProcessWithoutNullStreams;
  pid: number;
  /** Every line of stdout so far. */
  lines: string[];
  /** All of stderr so far. */
  log(): string;
  send(message: Message | string): void;
  /** Sends a request and waits for what answers it. */
  request(method: string, params?: object): Promise<Message>;
  callTool(name: string, input?: object, meta?: object): Promise<Message>;
  /** Waits for a message that fits; undefined when none comes in time. */
  hears(fits: (message: Message) => boolean, withinMs?: number): Promise<Message | undefined>;
  ended: Promise<Ended>;
}

/** Starts `toolweaver serve` and speaks to it by hand, as a 2025-11-25 client unless `initialize` is false. */
export async function startServer(options: StartOptions & { initialize?: boolean }): Promise<RawServer> {
  const child = start(['serve'], options);
  const lines: string[] = [];
  let [rest, stderr, nextId] = ['', '', 1];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n');
    rest = parts.pop() ?? '';
    lines.push(...parts);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const send = (message: Message | string): void =>
    void child.stdin.write(
      `${typeof message === 'string' ? message : JSON.stringify({ jsonrpc: '2.0', ...message })}\n`,
    );
  const hears: RawServer['hears'] = async (fits, withinMs = watchdogMs) => {
    for (let waited = 0, seen = 0; waited <= withinMs; waited += 10) {
      for (; seen < lines.length; seen++) {
        const message = parse(lines[seen] ?? '');
        if (message && fits(message)) return message;
      }
      await sleep(10);
    }
    return undefined;
  };
  const request: RawServer['request'] = async (method, params = {}) => {
    const id = nextId++;
    send({ id, method, params });
    const answer = await hears((message) => message.id === id && message.method === undefined);
    if (!answer) throw new Error(`${method} was not answered. stderr: ${stderr}`);
    return answer;
  };
  const callTool: RawServer['callTool'] = (name, input = {}, meta) =>
    request('tools/call', { name, arguments: input, ...(meta && { _meta: meta }) });
  const ended = endOf(child);
  const server: RawServer = {
    child,
    pid: child.pid ?? 0,
    lines,
    log: () => stderr,
    send,
    request,
    callTool,
    hears,
    ended,
  };
  if (options.initialize !== false) {
    const clientInfo = { name: 'raw', version: '1.0.0' };
    await request('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo });
    send({ method: 'notifications/initialized' });
  }
  return server;
}

function parse(line: string): Message | undefined {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

export type Era = '2025-06-18' | '2025-11-25' | '2026-07-28';
export const eras: readonly Era[] = ['2025-06-18', '2025-11-25', '2026-07-28'];

/** The official client of a real server of its own, at exactly one protocol version. */
export async function connectClient(
  era: Era,
  { options = {}, ...place }: StartOptions & { options?: ClientOptions },
): Promise<{ client: Client; pid: number }> {
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [place.script ?? command, 'serve'],
    env: environment(place),
    stderr: 'ignore',
  });
  const pinned: ClientOptions =
    era === '2026-07-28' ? { versionNegotiation: { mode: { pin: era } } } : { supportedProtocolVersions: [era] };
  const client = new Client({ name: 'test', version: '1.0.0' }, { ...pinned, ...options });
  cleanups.push(() => client.close());
  await client.connect(transport);
  return { client, pid: transport.pid ?? 0 };
}

/** Text of a tool result. */
export const textOf = (result: unknown): string =>
  ((result as { content?: { text?: string }[] }).content ?? []).map((part) => part.text ?? '').join('\n');

/** Every process below a process, however deep. */
export function descendants(pid: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    const parent = /^\d+$/.test(name) ? statOf(Number(name))?.parent : undefined;
    if (parent !== undefined) parents.set(Number(name), parent);
  }
  const below = (of: number): number[] =>
    [...parents].filter(([, parent]) => parent === of).flatMap(([child]) => [child, ...below(child)]);
  return below(pid);
}

/** Processes that have a text in their environment or command. */
export function processesWith(text: string): number[] {
  const isMarked = (pid: number) =>
    [`/proc/${pid}/environ`, `/proc/${pid}/cmdline`].some((file) => readText(file).includes(text));
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => pid !== process.pid && isMarked(pid) && isRunning(pid));
}

/** True while a process runs; one that ended and that nobody has buried does not. */
export const isRunning = (pid: number): boolean => !['Z', 'X', undefined].includes(statOf(pid)?.state);

/** What files a process has open. */
export function openFiles(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
  } catch {
    // The process, or a file, went between two looks.
    return [];
  }
}

/** Waits until none of these processes runs, and gives those that still do. */
export async function survivors(pids: readonly number[], withinMs: number): Promise<number[]> {
  await until(() => !pids.some(isRunning), withinMs);
  return pids.filter(isRunning);
}

/** Waits until something is so; false when it is not in time. */
export async function until(isSo: () => boolean | Promise<boolean>, withinMs = watchdogMs): Promise<boolean> {
  for (const giveUpAt = Date.now() + withinMs; ; await sleep(10)) {
    if (await isSo()) return true;
    if (Date.now() > giveUpAt) return false;
  }
}

function statOf(pid: number): { state: string; parent: number } | undefined {
  const [state, parent] = (readText(`/proc/${pid}/stat`).split(') ')[1] ?? '').split(' ');
  return state && parent ? { state, parent: Number(parent) } : undefined;
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    // The process went between two looks.
    return '';
  }
}
