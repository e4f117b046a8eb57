import { LRUCache } from 'lru-cache';
import type { Finding } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import { sha256 } from '../json.ts';
import { shortText } from '../text/clean.ts';
import { annotate } from './annotate.ts';
import { declarations, type ProgramTypes } from './context-type.ts';
import { type Language, parseProgram } from './parse.ts';
import { readProgram } from './program.ts';
import { type Compilation, type Diagnostic, runTsc } from './tsc.ts';

const maxMessage = 600;
// What an author left without a type is no fault; the compiler knows more when it may say so.
const untyped = /^TS70\d\d$/;
const around = 'toolweaver.d.ts';

const options = {
  noEmit: true,
  target: 'esnext',
  lib: ['esnext'],
  module: 'esnext',
  moduleResolution: 'bundler',
  moduleDetection: 'force',
  // Nothing but the two files is read: no package, no types of this machine.
  types: [],
  typeRoots: [],
  noResolve: true,
  skipLibCheck: true,
  allowJs: true,
  checkJs: true,
};

const strictness = {
  typescript: { strict: true, useUnknownInCatchVariables: false },
  javascript: { strict: false },
};

/**
 * Checks a sound program against the types of its schemas and of what it may call: errors for TypeScript, warnings for
 * JavaScript. Runs nothing of it. Where the compiler is missing, that is a warning.
 * @throws WeaverError `cancelled`.
 */
export async function checkTypes(
  source: string,
  language: Language,
  types: ProgramTypes,
  signal: AbortSignal,
): Promise<Finding[]> {
  const { ast } = await parseProgram(source, language);
  if (!ast) return [];
  const annotated = annotate(source, language, ast, await readProgram(ast));
  const file = language === 'typescript' ? 'skill.ts' : 'skill.js';
  const files = {
    [file]: annotated.text,
    [around]: declarations(types),
    'package.json': '{ "type": "module" }',
    'tsconfig.json': JSON.stringify({
      compilerOptions: { ...options, ...strictness[language] },
      files: [around, file],
    }),
  };
  const compiled = await compileOrSay(files, signal);
  if ('missing' in compiled) return [compiled.missing];
  const severity = language === 'typescript' ? ('error' as const) : ('warning' as const);
  if ('stopped' in compiled) return [tooComplex(compiled.stopped, severity)];
  const told = compiled.diagnostics.filter(({ code }) => !untyped.test(code));
  return told.map((one) => toFinding(one, severity, annotated.authorPlace(one)));
}

// The same program is checked again and again: validated, saved, mended beside it.
const compilations = new LRUCache<string, Compilation>({ max: 500 });

async function compileOrSay(
  files: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<Compilation | { missing: Finding }> {
  const key = sha256(JSON.stringify(files));
  const known = signal.aborted ? undefined : compilations.get(key);
  if (known) return known;
  try {
    const compiled = await runTsc(files, signal);
    // What ran out of time or memory may have had bad luck.
    if (!('stopped' in compiled)) compilations.set(key, compiled);
    return compiled;
  } catch (error) {
    if (error instanceof WeaverError && error.code === 'not_supported') return { missing: unchecked(error) };
    throw error;
  }
}

const unchecked = ({ message, hint = '' }: WeaverError): Finding => ({
  rule: 'types_unchecked',
  severity: 'warning',
  where: 'code',
  message,
  remedy: hint,
});

const tooComplex = (stopped: 'time' | 'memory', severity: Finding['severity']): Finding => ({
  rule: 'types_too_complex',
  severity,
  where: 'code',
  message: `its types take more ${stopped} to check than there is`,
  remedy: 'Use simpler types.',
});

function toFinding(
  { code, message }: Diagnostic,
  severity: Finding['severity'],
  { line, column }: { line: number; column: number },
): Finding {
  const text = message.replaceAll(
    /\bToolWeaver(Input|Context|Answer|Promise|Run)\b/g,
    (_, name: string) => names[name] ?? name,
  );
  return {
    rule: 'types',
    severity,
    where: 'code',
    line,
    column,
    message: `line ${line}: ${shortText(text, maxMessage)} (${code})`,
    remedy: 'Mend the code, or the schema if that says less than is true.',
  };
}

const names: Readonly<Record<string, string>> = {
  Input: 'Input',
  Context: 'Context',
  Answer: 'Output | Promise<Output>',
  Promise: 'Promise<Output>',
  Run: '(input: Input, ctx: Context) => Output | Promise<Output>',
};
