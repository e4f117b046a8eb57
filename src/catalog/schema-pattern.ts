import { RE2JS } from 're2js';
import type { Finding } from '../contracts.ts';
import { isRecord } from '../json.ts';
import { shortText } from '../text/clean.ts';
import { refusal } from './finding.ts';
import { memberPath, type SchemaNode } from './schema-tree.ts';

const maxLength = 1_000;
const maxSteps = 5_000;
const maxStepsOfSchema = 20_000;

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

// An escape, a class, a repeat, or any other character.
const piece = /\\[\s\S]?|\[(?:\\[\s\S]|[^\]\\])*\]?|\{\d+(?:,\d*)?\}|[\s\S]/g;

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

/** Checks that every pattern of a document compiles for the linear-time engine, and that all together stay small. */
export function checkPatterns(where: string, nodes: readonly SchemaNode[]): Finding[] {
  const patterns = nodes.flatMap(patternsOf);
  const steps = patterns.reduce((sum, [, source]) => sum + estimateSteps(source), 0);
  if (steps > maxStepsOfSchema && patterns.length > 1) {
    const problem = `has patterns of ${steps} steps in all, repeats multiplied; ${maxStepsOfSchema} are the limit`;
    return [refusal(where, 'pattern_unsupported', problem, 'Use fewer or shorter patterns.')];
  }
  const remedy = 'Write a simpler pattern, or check it in the code; patterns run in linear time here.';
  return patterns.flatMap(([place, source]) => {
    const problem = patternProblem(source);
    return problem === undefined ? [] : [refusal(place, 'pattern_unsupported', problem, remedy)];
  });
}

function patternsOf({ path, schema }: SchemaNode): [string, string][] {
  const { pattern, patternProperties } = schema;
  const keys = isRecord(patternProperties) ? Object.keys(patternProperties) : [];
  const own: [string, string][] = typeof pattern === 'string' ? [[`${path}.pattern`, pattern]] : [];
  return [...own, ...keys.map((key): [string, string] => [memberPath(`${path}.patternProperties`, key), key])];
}

/** What keeps a pattern from the linear-time engine, in words, or undefined when nothing does. */
function patternProblem(source: string): string | undefined {
  if (source.length > maxLength) return `is longer than ${maxLength} characters`;
  const construct = refusedConstruct(source);
  if (construct !== undefined) return `uses a ${construct}`;
  if (!isJavaScript(source)) return 'is not a JavaScript regular expression';
  // Estimated first: compiling 100,000 steps takes a quarter of a second.
  if (estimateSteps(source) > maxSteps) return `has more than ${maxSteps} steps, repeats multiplied`;
  try {
    linearPattern(source);
    return undefined;
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

/** About how many steps the compiled pattern has: one a character or class, times the repeats around it. */
function estimateSteps(source: string): number {
  const groups = [0];
  let atom = 0;
  for (const [text] of source.matchAll(piece)) {
    const repeat = /^\{(\d+)(?:,(\d*))?\}$/.exec(text);
    const last = groups.length - 1;
    if (text === '(') {
      groups.push(0);
    } else if (repeat !== null) {
      const added = atom * (Math.max(Number(repeat[1]), Number(repeat[2] ?? 0)) - 1);
      [groups[last], atom] = [(groups[last] ?? 0) + added, atom + added];
    } else {
      atom = text === ')' && last > 0 ? (groups.pop() ?? 0) : 1;
      groups[groups.length - 1] = (groups.at(-1) ?? 0) + atom;
    }
  }
  return groups.reduce((sum, size) => sum + size, 0);
}
