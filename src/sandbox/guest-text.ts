import type { Progress } from '../contracts.ts';
import type { End, GuestError } from './protocol.ts';

// What a program says is made by functions that it can tamper with (toJSON, getters, valueOf), so nothing about its form
// is taken for granted.

const maxChars = 4_000;
const maxProgressChars = 1_000;

/** An error as the engine tells it. */
export interface EngineError extends GuestError {
  stack: string;
}

/** The error in the JSON text that a program told. */
export function readError(json: string): EngineError {
  const told = readRecord(json);
  const [tool, code] = [textOf(told.tool), textOf(told.code)];
  return {
    name: textOf(told.name) ?? 'Thrown',
    message: textOf(told.message) ?? 'null',
    stack: textOf(told.stack) ?? '',
    ...(tool !== undefined && { tool }),
    ...(code !== undefined && { code }),
  };
}

/** The progress in the JSON text that a program told; undefined when it is none. */
export const readProgress = (json: string): Progress | undefined => toProgress(readRecord(json));

/** The progress that a program told; undefined when it is none. */
export function toProgress(value: unknown): Progress | undefined {
  const { done, total, message } = Object(value) as Record<string, unknown>;
  if (typeof done !== 'number' || !Number.isFinite(done)) return undefined;
  const text = textOf(message)?.slice(0, maxProgressChars);
  return {
    done,
    ...(typeof total === 'number' && Number.isFinite(total) && { total }),
    ...(text !== undefined && { message: text }),
  };
}

/** What an error inside the engine means for the job. */
export function endOf({ stack, ...error }: EngineError, whileStringifying: boolean): End {
  // The library wraps what ends a job of the engine's own queue.
  const inner = /^Job execution error: (InternalError): (.*)$/s.exec(error.message);
  const [name, message] = inner ? [inner[1], inner[2] ?? ''] : [error.name, error.message];
  if (name === 'InternalError' && /out of memory/.test(message)) return { ok: false, kind: 'limit', limit: 'memory' };
  if (name === 'InternalError' && /interrupted/.test(message)) return { ok: false, kind: 'limit', limit: 'cpu' };
  if (/stack (size|overflow)|call stack/i.test(message)) {
    return { ok: false, kind: 'limit', limit: whileStringifying ? 'depth' : 'stack' };
  }
  const line = /skill\.js:(\d+)/.exec(stack)?.[1];
  return { ok: false, kind: 'thrown', error: { ...error, ...(line !== undefined && { line: Number(line) }) } };
}

/** True for what an engine says that has not even the memory left for a proper error. */
export const isMemoryText = (message: string): boolean =>
  /^null$|out of memory|malloc|<null>|invalid error message/i.test(message);

const textOf = (value: unknown): string | undefined =>
  typeof value === 'string' ? value.slice(0, maxChars) : undefined;

function readRecord(json: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    // Not JSON: it told nothing.
    return {};
  }
}
