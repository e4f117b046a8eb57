import type { Finding } from '../contracts.ts';
import type { Language } from './parse.ts';

export type Compiled = { text: string } | { findings: Finding[] };

const linesMark = '//# lines=';

/**
 * What runs: JavaScript as its author wrote it, TypeScript without its types. A comment at the end of the latter says
 * which of the author's lines each line comes from (`authorLine`).
 */
export async function compileProgram(source: string, language: Language): Promise<Compiled> {
  if (language === 'javascript') return { text: source };
  const { transform } = await import('esbuild');
  try {
    const options = {
      loader: 'ts',
      format: 'esm',
      target: 'es2023',
      sourcemap: 'external',
      sourcesContent: false,
    } as const;
    const { code, map } = await transform(source, { ...options, logLevel: 'silent', tsconfigRaw: '{}' });
    return { text: `${code}${linesMark}${await lineTable(code, map)}\n` };
  } catch (error) {
    return { findings: (error as Failure).errors?.map(toFinding) ?? rethrow(error) };
  }
}

interface Failure {
  errors?: { text: string; location: { line: number; column: number } | null }[];
}

function toFinding({ text, location }: NonNullable<Failure['errors']>[number]): Finding {
  const place = location ? { line: location.line, column: location.column + 1 } : {};
  return {
    rule: 'compile',
    severity: 'error',
    where: 'code',
    ...place,
    message: `${location ? `line ${location.line}: ` : ''}${text}`,
    remedy: 'Write it in TypeScript that needs no more than its types removed.',
  };
}

function rethrow(error: unknown): never {
  throw error;
}

// Each number is the distance of a line's author line from the one before it. What counts is where the first word of a
// line comes from: the blanks before it still belong to the line before.
async function lineTable(code: string, map: string): Promise<string> {
  const { decode } = await import('@jridgewell/sourcemap-codec');
  const lines = code.split('\n');
  let before = 0;
  const steps = decode(JSON.parse(map).mappings).map((segments, index) => {
    const indent = lines[index]?.search(/\S/) ?? 0;
    const segment = segments.findLast(([column]) => column <= indent) ?? segments[0];
    const line = segment?.[2] ?? before;
    const step = line - before;
    before = line;
    return step;
  });
  return steps.join(',');
}

/** The author's line of a line of compiled text, both counted from 1. */
export function authorLine(compiled: string, line: number): number {
  const at = compiled.lastIndexOf(`\n${linesMark}`);
  if (at < 0) return line;
  const steps = compiled.slice(at + 1 + linesMark.length).split(',');
  return steps.slice(0, line).reduce((sum, step) => sum + (Number(step) || 0), 1);
}
