import type { File } from '@babel/types';
import { checkProgram } from '../code/check-program.ts';
import { type Language, orTooDeep, parseProgram } from '../code/parse.ts';
import { readProgram } from '../code/program.ts';
import { compileProgram } from '../code/strip.ts';
import type { Finding } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import { sha256 } from '../json.ts';
import type { Manifest } from '../library/kind.ts';
import type { Engine, Program } from '../sandbox/sandbox.ts';
import { chooseEngine } from './engine.ts';
import { toProgram } from './host.ts';
import { type PythonParts, readPython } from './python.ts';

/** Code that runs once. */
export interface Script {
  /** As a module: what it would be saved as. */
  source: string;
  program: Program;
  engine: Engine;
}

/**
 * Code as a module: as it is where it exports a default, else as the body of `run(input, ctx)`, on the same lines.
 */
export const asModule = (code: string): string =>
  /\bexport\s+default\b/.test(code) ? code : `export default async function run(input, ctx) { ${code}\n}`;

/**
 * Reads and compiles code that runs once: a module or, but for Python, the body of its function. What tools it calls need
 * not be literal.
 * @throws WeaverError `check_failed` with every finding.
 */
export async function compileScript(code: string, language: Language | 'python', parts: PythonParts): Promise<Script> {
  if (language === 'python') return compilePython(code, parts);
  const source = asModule(code);
  const { ast, findings } = await parseProgram(source, language);
  if (!ast || findings.length > 0) throw refused(findings);
  const chosen = await chooseEngine(await inspect(ast), parts.engineProblem);
  refuseErrors(chosen.findings);
  const compiled = await compileProgram(source, language);
  if ('findings' in compiled) throw refused(compiled.findings);
  return { source, engine: chosen.engine, program: programOf(compiled.text, language) };
}

// What a saved skill must name literally, code that runs once need not.
const aboutReach = ['ctx_escapes', 'dynamic_tool', 'dynamic_secret', 'two_ranges'];

async function compilePython(source: string, parts: PythonParts): Promise<Script> {
  const { findings } = await readPython(parts, source);
  refuseErrors(findings.filter(({ rule }) => !aboutReach.includes(rule)));
  return { source, engine: 'python', program: programOf(source, 'python') };
}

const programOf = (text: string, language: Manifest['language']): Program =>
  toProgram({ compiled: sha256(text), language }, text);

function refuseErrors(findings: readonly Finding[]): void {
  const errors = findings.filter(({ severity }) => severity === 'error');
  if (errors.length > 0) throw refused(errors);
}

// Nobody reviews it, so code made at run time is no worse than the rest.
async function inspect(ast: File): Promise<Finding[]> {
  const found = await orTooDeep(async () => checkProgram(await readProgram(ast)));
  return Array.isArray(found) ? found.filter(({ severity }) => severity === 'error') : found.findings;
}

const refused = (findings: Finding[]): WeaverError =>
  new WeaverError(
    'check_failed',
    `The code was not run: ${findings.length} problem${findings.length === 1 ? '' : 's'}.`,
    {
      hint: 'Mend them and run it again.',
      details: { findings },
    },
  );
