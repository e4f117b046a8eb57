/** Every way in which something can fail, with what it means. docs/errors.md is compared with this table. */
export const errorCodes = {
  bad_input: 'The input does not fit what the tool, command or setting takes.',
  bad_output: 'A tool answered something that does not fit its own output schema.',
  unknown_tool: 'No tool has that name.',
  not_found: 'No version, run or review has that name.',
  not_signed_in: 'The request has no token, or one that is unknown, expired or revoked.',
  not_allowed: 'The principal lacks the scope, or the code was not granted the tool, host or secret.',
  needs_person: 'Only a person may do this; it waits for one.',
  not_approved: 'The version exists but no review has let it run yet, or a review refused it.',
  name_taken: 'Another entry or a built-in already has this name, or one that differs only in case or separators.',
  check_failed: 'The draft was refused; details.findings lists every reason.',
  conflict: 'Somebody changed the same thing at the same time, or it was decided before.',
  too_large: 'The result is kept, but too large to hand to a model at once.',
  limit_exceeded: 'The code went over one of its limits; details.limit names it.',
  timed_out: 'The time allowed for the call ran out.',
  cancelled: 'The caller cancelled the call.',
  busy: 'Too much is under way, or the database stayed locked; trying again later can work.',
  unavailable: 'Something that the call needs is down or ended half-way; trying again can work.',
  skill_failed: 'The code of a skill threw an error.',
  seal_broken: 'Stored code differs from what was reviewed, so it was not run.',
  secret_unreadable: 'A secret or a recording cannot be opened: its key is missing, or its row was changed.',
  not_supported: 'This build or machine lacks what the request needs.',
  database_newer: 'The database was written by a newer ToolWeaver.',
  database_damaged: 'The database file is not readable as one; nothing was changed.',
  database_unavailable: 'The database cannot be opened or written: permissions, disk full, wrong place.',
  internal: 'A fault of ToolWeaver itself. The log has the cause.',
} as const;

export type ErrorCode = keyof typeof errorCodes;

export interface ErrorExtras {
  /** What to do next, for a person or a model. */
  hint?: string;
  /** JSON that clients may see: findings, the limit that was hit, similar names. */
  details?: Record<string, unknown>;
  cause?: unknown;
}

/** The one error class: a code, a message that names the thing, and what to do next. */
export class WeaverError extends Error {
  override readonly name = 'WeaverError';
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly details: Record<string, unknown> | undefined;

  constructor(code: ErrorCode, message: string, { hint, details, cause }: ErrorExtras = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.hint = hint;
    this.details = details;
  }

  /** The parts that clients may see; the cause stays here. */
  toJSON(): { code: ErrorCode; message: string; hint?: string; details?: Record<string, unknown> } {
    return {
      code: this.code,
      message: this.message,
      ...(this.hint === undefined ? {} : { hint: this.hint }),
      ...(this.details === undefined ? {} : { details: this.details }),
    };
  }
}

/** Makes any thrown value a WeaverError; what was not foreseen becomes `internal` with a fixed text and keeps its cause. */
export function toWeaverError(thrown: unknown): WeaverError {
  if (thrown instanceof WeaverError) return thrown;
  return new WeaverError('internal', 'Something went wrong inside ToolWeaver.', {
    hint: 'The log on stderr has the cause; please report it.',
    cause: thrown,
  });
}
