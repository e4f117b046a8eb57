import type { Progress } from '../contracts.ts';
import type { WeaverError } from '../errors.ts';

export type Engine = 'quickjs' | 'deno' | 'python';

/** What one call of untrusted code may use. All are enforced outside the code's reach. */
export interface Limits {
  /** From start to answer, waiting for the host included. */
  wallMs: number;
  /** Time in which the code itself computes; waiting for the host does not count. */
  cpuMs: number;
  memoryMb: number;
  outputBytes: number;
  logBytes: number;
  hostCalls: number;
  hostCallsAtOnce: number;
}

export const defaultLimits: Limits = Object.freeze({
  wallMs: 30_000,
  cpuMs: 2_000,
  memoryMb: 64,
  outputBytes: 1_000_000,
  logBytes: 64_000,
  hostCalls: 1_000,
  hostCallsAtOnce: 32,
});

/**
 * A compiled program: the text of one JavaScript ES module whose default export is `run(input, ctx)`, or for `python` of a
 * module with such a function of that name.
 */
export interface Program {
  /** sha256 of `text`; what is kept warm is kept by this. */
  hash: string;
  text: string;
  /** The author's line of a line of `text`, both counted from 1; the same one where absent. */
  lineOf?(line: number): number;
}

/** One call of a program. */
export interface Job {
  id: string;
  /** Whose call it is: where state outlives a call, it meets only calls of the same program by the same owner. */
  owner: string;
  program: Program;
  input: unknown;
  limits: Limits;
  /** The one time of the call, in milliseconds since 1970, and what `ctx.random()` and `Math.random()` are seeded with. */
  now: number;
  seed: number;
  /**
   * Answers `ctx.tools.x(input)` and `ctx.call(name, input)`. A WeaverError that it throws reaches the code as
   * `ToolError { tool, code, message }`. `signal` fires when the job ends before the answer.
   */
  callTool(name: string, input: unknown, signal: AbortSignal): Promise<unknown>;
  progress?: (progress: Progress) => void;
  signal: AbortSignal;
}

export interface Usage {
  wallMs: number;
  cpuMs: number;
  hostCalls: number;
}

/** What came of a job. `logs` are the lines of `ctx.log` and `console`, cut at the limit. */
export type JobResult = { logs: string[]; usage: Usage } & (
  | { ok: true; value: unknown }
  | { ok: false; error: WeaverError }
);

/**
 * Runs untrusted code. `run` never throws and never stops the server: every end of a job is a JobResult, within
 * `limits.wallMs` plus a second. In `quickjs` each job starts from fresh state; in `deno` and `python` it may find what an
 * earlier job of the same program and owner left. Error codes: `skill_failed` (the code threw),
 * `limit_exceeded` (details.limit = wall | cpu | memory | output | depth | host_calls | stack), `cancelled`,
 * `busy` (too many jobs wait, for a place or for the host, or the job itself waited for a place all its time),
 * `unavailable` (the engine died under the job), `bad_input` (too large, or no JSON), `bad_output` (the value is no
 * JSON). With `busy` and `unavailable`, `details.retryable` says that nothing had left the sandbox.
 * `close` ends every process and thread; jobs under way end as `cancelled`.
 */
export interface Sandbox {
  readonly engine: Engine;
  run(job: Job): Promise<JobResult>;
  close(): Promise<void>;
}
