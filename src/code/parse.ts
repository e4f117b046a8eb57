import { Script } from 'node:vm';
import type { ParseResult } from '@babel/parser';
import type { File } from '@babel/types';
import type { Finding } from '../contracts.ts';
import { byteLength } from '../json.ts';
import { shortText } from '../text/clean.ts';
import { describeInvisible, findInvisible, type InvisibleCharacter } from '../text/invisible.ts';

export type Language = 'javascript' | 'typescript';

const maxBytes = 200_000;
const parseMs = 2_000;
const maxFindings = 20;

/** A syntax tree with the author's lines; absent when the source cannot be read at all. */
export interface Parsed {
  ast?: ParseResult<File>;
  findings: Finding[];
}

// Some TypeScript (`<T>(<T>(<T>(…`) makes the parser try two readings at every level. A script with a timeout is the
// one way to end a computation on the same thread; it runs our parser, never the source.
const work = new Script('work()');
const within = (timeoutMs: number, f: () => unknown): unknown =>
  work.runInNewContext({ work: f }, { timeout: timeoutMs });

/** What is wrong with a source as a text, in any language: its size, or all characters that a reader cannot see. */
export function refuseText(source: string): Finding[] {
  const bytes = byteLength(source);
  if (bytes > maxBytes) {
    const message = `code has ${bytes} bytes; ${maxBytes} are the limit`;
    return refused('code_too_large', message, 'Split it into several skills.').findings;
  }
  const hidden = findInvisible(source).slice(0, maxFindings);
  return hidden.map((character) => hiddenFinding(source, character));
}

/**
 * Reads source as a module. All syntax errors, or first all characters that a reader cannot see, come as findings with line
 * and column; never throws because of the source.
 */
export async function parseProgram(source: string, language: Language): Promise<Parsed> {
  const findings = refuseText(source);
  if (findings.length > 0) return { findings };
  const { default: parser } = await import('@babel/parser');
  const plugins = language === 'typescript' ? ['typescript' as const] : [];
  try {
    const options = { sourceType: 'module', errorRecovery: true, attachComment: false, plugins } as const;
    let ast: ParseResult<File> | undefined;
    within(parseMs, () => {
      ast = parser.parse(source, options);
    });
    return ast === undefined ? { findings: [] } : judge(ast, language);
  } catch (error) {
    return unreadable(error, language);
  }
}

function judge(ast: ParseResult<File>, language: Language): Parsed {
  const errors = ast.errors ?? [];
  const findings = errors.slice(0, maxFindings).map((error) => syntaxFinding(error, language));
  return { ast, findings };
}

function unreadable(error: unknown, language: Language): Parsed {
  if (error instanceof RangeError) return tooDeep();
  if (isTimeout(error)) {
    return refused(
      'code_too_complex',
      'code takes too long to read',
      'Nest fewer type assertions, calls and functions in each other.',
    );
  }
  if (error instanceof SyntaxError) return { findings: [syntaxFinding(error, language)] };
  throw error;
}

// Node makes this error in the script's own context, whose Error is not ours.
const isTimeout = (error: unknown): boolean =>
  (error as { code?: unknown } | null)?.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT';

interface Located {
  message: string;
  loc?: { line: number; column: number };
}

function syntaxFinding(error: Located | SyntaxError, language: Language): Finding {
  const loc = 'loc' in error ? error.loc : undefined;
  const problem = shortText(error.message.replace(/ \(\d+:\d+\)$/, ''), 200);
  const isForeign = problem.includes('requires enabling');
  const hint = language === 'javascript' ? ' If it is TypeScript, say language: typescript.' : '';
  return {
    rule: 'syntax',
    severity: 'error',
    where: 'code',
    ...(loc === undefined ? {} : { line: loc.line, column: loc.column + 1 }),
    message: `line ${loc?.line ?? '?'}: ${isForeign ? 'this syntax is not known here (JSX, decorators and proposals are not)' : problem}`,
    remedy: `Correct the syntax.${hint}`,
  };
}

// Source that reads otherwise than it runs (CVE-2021-42574); half a surrogate pair would even be stored as another one.
function hiddenFinding(source: string, { codePoint, index }: InvisibleCharacter): Finding {
  const before = source.slice(0, index).split('\n');
  const [line, column] = [before.length, (before.at(-1)?.length ?? 0) + 1];
  const hex = codePoint.toString(16).toUpperCase().padStart(4, '0');
  return {
    rule: 'hidden_character',
    severity: 'error',
    where: 'code',
    line,
    column,
    message: `line ${line}: a reader cannot see U+${hex} (${describeInvisible(codePoint)})`,
    remedy: `Remove it, or write it as an escape inside of a text: \\u{${hex.toLowerCase()}}.`,
  };
}

/** The finding for source that overflows the stack of whoever reads it. */
export const tooDeep = (): Parsed =>
  refused('code_too_deep', 'code nests too deeply to be read', 'Use variables and functions for the inner parts.');

/** What reading a tree gives, or that it nests too deeply for whoever reads it. */
export async function orTooDeep<T>(read: () => Promise<T>): Promise<T | Pick<Parsed, 'findings'>> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof RangeError) return { findings: tooDeep().findings };
    throw error;
  }
}

const refused = (rule: string, message: string, remedy: string): Parsed => ({
  findings: [{ rule, severity: 'error', where: 'code', message, remedy }],
});
