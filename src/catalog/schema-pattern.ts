import { RE2JS } from 're2js';
import { shortText } from '../text/clean.ts';

const maxLength = 1_000;
const maxSteps = 5_000;

// RE2 reads these in another way than JavaScript does, or silently drops them, so each is refused by name.
const refused: readonly (readonly [form: RegExp, name: string])[] = [
  [/^\(\?[=!]/, 'look-ahead'],
  [/^\(\?<[=!]/, 'look-behind'],
  [/^\\(?:[1-9]|k)/, 'back-reference'],
  [/^\\[pP]\{[^}=]*=/, 'Unicode script'],
  [/^\\[pP](?!\{)/, 'escape'],
  [/^\\x(?![\da-fA-F]{2})/, 'escape'],
  [/^\\u[dD][89a-fA-F]/, 'surrogate escape (write \\u{1F600})'],
  [/^\\[aAeEgGhHiIjJKlLmMNoOqQRTUVXyYzZ]/, 'escape'],
  [/^\[:\w{1,10}:\]/, 'POSIX class'],
];
const token = /\\[\s\S]?|\[:?|\]|\(\?<?[=!]/g;

/** A pattern that is checked in linear time; `steps` is the most that one character may cost. */
export interface LinearPattern {
  readonly steps: number;
  test(text: string): boolean;
}

/**
 * Compiles an ECMAScript pattern for the linear-time engine.
 * @throws when the engine lacks a construct; `patternProblem` says which.
 */
export function linearPattern(source: string): LinearPattern {
  const compiled = RE2JS.compile(RE2JS.translateRegExp(source));
  return { steps: compiled.programSize(), test: (text) => compiled.test(text) };
}

/** What keeps a pattern from the linear-time engine, in words, or undefined when nothing does. */
export function patternProblem(source: string): string | undefined {
  if (source.length > maxLength) return `is longer than ${maxLength} characters`;
  const construct = refusedConstruct(source);
  if (construct !== undefined) return `uses a ${construct}`;
  if (!isJavaScript(source)) return 'is not a JavaScript regular expression';
  try {
    return linearPattern(source).steps > maxSteps ? 'has repeats that multiply to something too large' : undefined;
  } catch (error) {
    return explain(error);
  }
}

function refusedConstruct(source: string): string | undefined {
  let isInClass = false;
  for (const { 0: text, index } of source.matchAll(token)) {
    const rest = source.slice(index, index + 40);
    const isLiteral = isInClass && !/^(?:\\|\[:)/.test(text);
    const entry = isLiteral ? undefined : refused.find(([form]) => form.test(rest));
    if (entry !== undefined) return `${entry[1]} ${shortText(entry[0].exec(rest)?.[0] ?? '')}`;
    if (text.startsWith('[')) isInClass = true;
    if (text === ']') isInClass = false;
  }
  return undefined;
}

function isJavaScript(source: string): boolean {
  return ['u', ''].some((flags) => {
    try {
      return new RegExp(source, flags) !== undefined;
    } catch {
      return false; // The other flag may read it; when neither does, the caller says so.
    }
  });
}

function explain(error: unknown): string {
  const message = error instanceof Error ? error.message.replace(/^error parsing regexp: /, '') : '';
  if (message.startsWith('invalid repeat count')) return 'uses a repeat over 1,000 (nested repeats multiply)';
  return `does not compile: ${shortText(message, 120) || 'the engine refuses it'}`;
}
