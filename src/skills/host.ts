import { authorLine } from '../code/strip.ts';
import type { Outcome, Principal } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import type { Manifest } from '../library/kind.ts';
import type { Program } from '../sandbox/sandbox.ts';

/** What sandboxed code gets from a nested call: its value, or a thrown error. */
export function answerOf(tool: string, outcome: Outcome): unknown {
  if (outcome.status === 'done') return outcome.value;
  if (outcome.status === 'failed') throw outcome.error;
  throw new WeaverError(
    'needs_person',
    `${tool} waits for a person or goes on in the background; code cannot wait for it.`,
    {
      hint: 'Call it outside the skill, and hand in what it answers.',
    },
  );
}

/** Whose calls may meet in an engine that keeps state. */
export const ownerOf = ({ tenant, id }: Principal): string => `${tenant}/${id}`;

/** Compiled text as the sandbox runs it; errors name the author's lines. */
export const toProgram = ({ compiled, language }: Pick<Manifest, 'compiled' | 'language'>, text: string): Program => ({
  hash: compiled,
  text,
  // JavaScript runs as its author wrote it, and may hold a comment that looks like our table of lines.
  ...(language === 'typescript' && { lineOf: (line) => authorLine(text, line) }),
});
