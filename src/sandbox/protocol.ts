import type { Progress } from '../contracts.ts';
import type { Limits, Usage } from './sandbox.ts';

/** What the server asks of the child; the child hands it to a thread. Values cross as JSON text. */
export type ToChild =
  | { t: 'run'; id: number; hash: string; text?: string; input: string; limits: Limits; now: number; seed: number }
  | { t: 'answer'; id: number; call: number; ok: true; json: string }
  | { t: 'answer'; id: number; call: number; ok: false; error: GuestError }
  | { t: 'stop'; id: number };

/** What the server hears: from the child's main thread over stdout, from each other thread over a pipe of its own. */
export type FromChild =
  | { t: 'ready' }
  /** The text of the job's program is not there: send the job again, with it. */
  | { t: 'need'; id: number }
  /** The job did not begin, or was lost by no fault of its own before it called the host: send it again. */
  | { t: 'again'; id: number }
  | { t: 'call'; id: number; call: number; name: string; json: string }
  | { t: 'progress'; id: number; progress: Progress }
  | { t: 'end'; id: number; logs: string[]; usage: Usage; end: End };

/** What a thread tells the child's main thread, which has to know what becomes of the jobs. */
export type FromThread =
  | { t: 'ready' }
  | { t: 'need'; id: number }
  | { t: 'called'; id: number; call: number }
  | { t: 'ended'; id: number };

/** The first of the pipes of the child's threads to the server; there is one for each. */
export const firstPipe = 3;

/** How a job ended, as a thread saw it. */
export type End =
  | { ok: true; json: string }
  | { ok: false; kind: 'limit'; limit: LimitName }
  | { ok: false; kind: 'thrown'; error: GuestError }
  | { ok: false; kind: 'bad_output'; message: string }
  | { ok: false; kind: 'busy' }
  | { ok: false; kind: 'lost'; message: string };

export type LimitName = 'wall' | 'cpu' | 'memory' | 'output' | 'depth' | 'host_calls' | 'stack';

/** An error as it crosses the boundary: plain text only. */
export interface GuestError {
  name: string;
  message: string;
  line?: number;
  tool?: string;
  code?: string;
}

export const maxLineBytes = 16_000_000;
export const maxDepth = 64;
/** How many programs' texts the child keeps, and of how many the server remembers that it does. */
export const keptPrograms = 1_000;

/** Milliseconds of a clock that is the same in all threads and that setting the time or sleep of the machine does not move. */
export const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6;

// Tells the message from the JSON text that it carries; stringify writes none of its own.
const separator = '\t';

/**
 * A message as one line. The JSON text that it carries, usually most of it, stands behind the rest as it is: as a text
 * within JSON it would be escaped here and unescaped there.
 */
export function toLine(message: ToChild | FromChild): string {
  const carried = carriedBy(message);
  if (carried === undefined) return `${JSON.stringify(message)}\n`;
  return `${JSON.stringify(carrying(message, ''))}${separator}${carried}\n`;
}

/** What `toLine` made a line of, without its end. @throws SyntaxError */
export function fromLine<T extends ToChild | FromChild>(line: string): T {
  const at = line.indexOf(separator);
  if (at < 0) return JSON.parse(line);
  return carrying(JSON.parse(line.slice(0, at)) as T, line.slice(at + 1));
}

function carriedBy(message: ToChild | FromChild): string | undefined {
  if (message.t === 'run') return message.input;
  if (message.t === 'end') return message.end.ok ? message.end.json : undefined;
  return 'json' in message ? message.json : undefined;
}

function carrying<T extends ToChild | FromChild>(message: T, json: string): T {
  if (message.t === 'run') return { ...message, input: json };
  if (message.t === 'end') return { ...message, end: { ok: true, json } };
  return { ...message, json };
}

/** Calls `take` with each whole line of a stream of chunks; `tooLong` when one is over the limit. */
export function readLines(take: (line: string) => void, tooLong: () => void): (chunk: Buffer) => void {
  let parts: Buffer[] = [];
  let length = 0;
  return (chunk) => {
    let from = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      const last = chunk.subarray(from, end);
      take((parts.length === 0 ? last : Buffer.concat([...parts, last])).toString('utf8'));
      parts = [];
      length = 0;
      from = end + 1;
    }
    if (from >= chunk.length) return;
    parts.push(chunk.subarray(from));
    length += chunk.length - from;
    if (length > maxLineBytes) tooLong();
  };
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
