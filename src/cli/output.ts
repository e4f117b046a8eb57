import type { ErrorCode } from '../errors.ts';
import { toWeaverError, WeaverError } from '../errors.ts';
import { errorText } from '../server/result.ts';
import { cleanText } from '../text/clean.ts';

/** Exit code of each error: 1 failed, 2 wrong usage, 3 waits for approval. */
export const exitCodes = {
  unknown_tool: 1,
  bad_input: 2,
  bad_output: 1,
  not_found: 1,
  not_signed_in: 1,
  not_allowed: 1,
  needs_person: 3,
  not_approved: 3,
  name_taken: 1,
  check_failed: 1,
  conflict: 1,
  too_large: 1,
  limit_exceeded: 1,
  timed_out: 1,
  cancelled: 1,
  busy: 1,
  unavailable: 1,
  skill_failed: 1,
  seal_broken: 1,
  secret_unreadable: 1,
  not_supported: 1,
  database_newer: 1,
  database_damaged: 1,
  database_unavailable: 1,
  internal: 1,
} as const satisfies Record<ErrorCode, 1 | 2 | 3>;

export const waitsForApproval = 3;

/** How a command answers: JSON for programs, or text for people. Untrusted text is made safe for a terminal. */
export function print(asJson: boolean, value: unknown, text: (() => string) | string): void {
  const out = asJson ? toJson(value) : cleanText(typeof text === 'string' ? text : text());
  process.stdout.write(`${out}\n`);
}

/** Prints an error where errors go, and gives the exit code for it. */
export function printError(thrown: unknown, asJson: boolean): number {
  const error = thrown instanceof WeaverError ? thrown : toWeaverError(thrown);
  if (asJson) process.stderr.write(`${toJson({ error: error.toJSON() })}\n`);
  else process.stderr.write(`error ${cleanText(errorText(error))}\n`);
  if (error.code === 'internal' && error.cause)
    process.stderr.write(`${cleanText(String((error.cause as Error).stack ?? error.cause))}\n`);
  return exitCodes[error.code];
}

// Safe for a terminal too: JSON itself escapes only the controls below U+0020.
function toJson(value: unknown): string {
  const escaped = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  const text = JSON.stringify(value, null, 2) ?? 'null';
  return text.replaceAll(/[\u007f-\u009f\p{Cf}]/gu, (hidden) => hidden.split('').map(escaped).join(''));
}

/** Columns of text, as wide as their widest cell. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  // Made safe and of one line here, since a cell that grows or breaks afterwards could pass for other rows.
  const lines = rows.map((row) => row.map((cell) => cleanText(cell).replaceAll(/\s+/g, ' ')));
  for (const row of lines) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  }
  return lines
    .map((row) =>
      row
        .map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export const isTerminal = (): boolean => Boolean(process.stdin.isTTY && process.stdout.isTTY);

/** Colour only on a terminal and without NO_COLOR. */
export function paint(
  env: NodeJS.ProcessEnv,
): Record<'bold' | 'dim' | 'green' | 'red' | 'cyan', (text: string) => string> {
  const isOn = Boolean(process.stdout.isTTY) && !env.NO_COLOR;
  const wrap = (open: number, close: number) => (text: string) =>
    isOn ? `\u001b[${open}m${text}\u001b[${close}m` : text;
  return { bold: wrap(1, 22), dim: wrap(2, 22), green: wrap(32, 39), red: wrap(31, 39), cyan: wrap(36, 39) };
}
