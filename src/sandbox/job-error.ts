import { WeaverError } from '../errors.ts';
import type { End, GuestError, LimitName } from './protocol.ts';
import { maxDepth } from './protocol.ts';
import type { Job, Limits, Program } from './sandbox.ts';

const maxMessage = 4_000;

/** The error of a job that went over a limit. */
export function limitError(limit: LimitName, limits: Limits): WeaverError {
  const [message, hint] = limitTexts[limit](limits);
  return new WeaverError('limit_exceeded', message, { hint, details: { limit } });
}

const limitTexts: Record<LimitName, (limits: Limits) => [message: string, hint: string]> = {
  wall: ({ wallMs }) => [
    `The code did not answer within ${wallMs} ms.`,
    'Do less in one call, or wait for fewer tools.',
  ],
  cpu: ({ cpuMs }) => [
    `The code computed for more than ${cpuMs} ms.`,
    'Look for an endless loop, or do less in one call.',
  ],
  memory: ({ memoryMb }) => [
    `The code needed more than ${memoryMb} MB of memory.`,
    'Work on smaller parts of the data.',
  ],
  output: ({ outputBytes }) => [
    `The code answered, or handed to a tool, more than ${outputBytes} bytes.`,
    'Return a part, a summary or a page.',
  ],
  depth: () => [
    `The code answered, or handed to a tool, something nested deeper than ${maxDepth}.`,
    'Use flatter data.',
  ],
  host_calls: ({ hostCalls, hostCallsAtOnce }) => [
    `The code made more than ${hostCalls} calls, or more than ${hostCallsAtOnce} at once.`,
    'Await calls in smaller groups, or ask for more in each.',
  ],
  stack: () => ['The code nested its function calls too deeply.', 'Look for endless recursion, or use a loop.'],
};

/** The error of a job that ended without a value. `calls` says how many host calls it had begun. */
export function endError(end: Exclude<End, { ok: true }>, { limits, program }: Job, calls: number): WeaverError {
  if (end.kind === 'limit') return limitError(end.limit, limits);
  if (end.kind === 'bad_output') {
    return new WeaverError(
      'bad_output',
      `The code answered what JSON cannot carry: ${end.message.slice(0, maxMessage)}.`,
      {
        hint: 'Return plain objects, arrays, strings, numbers, booleans and null.',
      },
    );
  }
  if (end.kind === 'busy') return busyError('Calls that wait for tools hold too much memory already.', calls);
  if (end.kind === 'thrown') return thrownError(end.error, program);
  return new WeaverError('unavailable', `The code was lost: ${end.message}.`, {
    hint:
      calls === 0
        ? 'Nothing had left the sandbox: call again.'
        : 'It had called other tools before; check what they did before you call again.',
    details: { retryable: calls === 0 },
  });
}

/** The error of a job for which there is no place. `calls` says how many host calls it had begun. */
export const busyError = (message: string, calls: number): WeaverError =>
  new WeaverError('busy', message, {
    hint: 'Try again in a moment, with fewer at once.',
    details: { retryable: calls === 0 },
  });

function thrownError({ name, message, tool, code, ...thrown }: GuestError, program: Program): WeaverError {
  const line = thrown.line === undefined ? undefined : (program.lineOf?.(thrown.line) ?? thrown.line);
  const place = line === undefined ? '' : ` (line ${line})`;
  const text = message.slice(0, maxMessage);
  return new WeaverError('skill_failed', `${name.slice(0, 100)}: ${text}${place}`, {
    hint:
      tool === undefined ? 'Mend the code or the input.' : `The call of ${tool} failed; the code may catch ToolError.`,
    details: {
      name,
      ...(line !== undefined && { line }),
      ...(tool !== undefined && { tool }),
      ...(code !== undefined && { code }),
    },
  });
}

/** A failed host call as the code gets to see it: a ToolError. */
export const guestError = (tool: string, { code, message, hint }: WeaverError): GuestError => ({
  name: 'ToolError',
  tool,
  code,
  message: `${tool}: [${code}] ${message}${hint === undefined ? '' : ` ${hint}`}`,
});
