import type { WeaverError } from '../errors.ts';
import type { Engine } from '../sandbox/sandbox.ts';

export type ErrorJson = ReturnType<WeaverError['toJSON']>;

/** How the code of a run ended. */
export type Ending = { value: unknown } | { error: ErrorJson };

/** A call of the host by the code: a tool, `ctx.fetch`, `ctx.files.read`, … JSON stands as the text that crossed. */
export interface RecordedCall {
  name: string;
  input: string;
  /** The place of its answer among all answers, from 0; without it the run ended first. */
  order?: number;
  value?: string;
  error?: ErrorJson;
}

/** All that went into the code of a run and came out of it; `input` is JSON, `calls` are in the order of their asking. */
export interface Recording {
  input: string;
  /** The clock of the run, in milliseconds since 1970, and the seed of its random numbers. */
  now: number;
  seed: number;
  calls: RecordedCall[];
  ending: Ending;
}

/** Which run of what. */
export interface RecordedRun {
  tenant: string;
  run: string;
  callId: string;
  tool: string;
  version: string;
  seal: string;
  engine: Engine;
  principal: string;
}

/** A recording as lists show it. Times are in milliseconds since 1970; `bytes` are those of its text. */
export interface RecordingInfo extends RecordedRun {
  /** `done`, or the code of its error. */
  code: string;
  at: number;
  expiresAt: number;
  bytes: number;
}
