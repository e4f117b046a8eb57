import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { readAddress } from '../code/fetch-use.ts';
import { refuseText, tooDeep } from '../code/parse.ts';
import { secretsIn } from '../code/secret-use.ts';
import { oneRangeEach, type Uses } from '../code/uses.ts';
import type { Finding } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import { sha256 } from '../json.ts';
import { distFile } from '../package.ts';
import { defaultLimits, type Engine, type Program, type Sandbox } from '../sandbox/sandbox.ts';
import { shortText } from '../text/clean.ts';
import type { EngineProblem } from './engine.ts';

export interface PythonParts {
  engineProblem: EngineProblem;
  sandbox: (engine: Engine) => Sandbox;
}

const place = { line: z.int(), column: z.int() };
const known = z.object({ text: z.string(), isWhole: z.boolean() });
/** What src/skills/python-reader.py answers. */
const reading = z.union([
  z.object({ syntax: z.object({ ...place, message: z.string() }) }),
  z.object({ deep: z.literal(true) }),
  z.object({
    findings: z.array(
      z.object({
        rule: z.string(),
        message: z.string(),
        remedy: z.string(),
        severity: z.enum(['error', 'warning']),
        line: z.int().optional(),
        column: z.int().optional(),
      }),
    ),
    tools: z.array(z.object({ name: z.string(), range: z.string().optional(), ...place })),
    requests: z.array(z.object({ address: known, method: z.string().optional(), ...place })),
    files: z.array(z.object({ access: z.enum(['read', 'write']), ...place })),
    texts: z.array(z.object({ text: z.string(), ...place })),
  }),
]);
type Reading = z.output<typeof reading>;

const limits = { ...defaultLimits, cpuMs: 5_000, memoryMb: 256, outputBytes: 8_000_000 };
let reader: Promise<Program> | undefined;

/**
 * Reads a source in Python by Python's own parser, in the sandbox; runs nothing of it. Without `uses` it cannot be read.
 * A Python that is missing here is a finding.
 */
export async function readPython(parts: PythonParts, source: string): Promise<{ findings: Finding[]; uses?: Uses }> {
  const refused = refuseText(source);
  if (refused.length > 0) return { findings: refused };
  const problem = await parts.engineProblem('python');
  if (problem) return { findings: [noPython(problem)] };
  const read = await askReader(parts.sandbox('python'), source);
  if ('deep' in read) return { findings: tooDeep().findings };
  if ('syntax' in read) return { findings: [syntaxFinding(read.syntax)] };
  return { findings: findingsOf(read), uses: usesOf(read) };
}

async function askReader(sandbox: Sandbox, source: string): Promise<Reading> {
  reader ??= loadReader();
  const result = await sandbox.run({
    id: 'reader',
    owner: 'reader',
    program: await reader,
    input: { source },
    limits,
    now: 0,
    seed: 1,
    callTool: async () => null,
    signal: new AbortController().signal,
  });
  if (result.ok) return reading.parse(result.value);
  // Source that takes more than there is to be read.
  if (result.error.code === 'limit_exceeded') return { deep: true };
  throw new WeaverError('unavailable', 'The source could not be read.', { cause: result.error });
}

async function loadReader(): Promise<Program> {
  const text = await readFile(distFile('sandbox/python-reader.py'), 'utf8');
  return { hash: sha256(text), text };
}

type Sound = Extract<Reading, { tools: unknown }>;

function findingsOf({ findings, tools, texts }: Sound): Finding[] {
  const told = findings.map(({ line, column, message, ...finding }): Finding => {
    const text = shortText(message, 300);
    if (line === undefined) return { ...finding, where: 'code', message: text };
    return {
      ...finding,
      where: 'code',
      line,
      ...(column !== undefined && { column }),
      message: `line ${line}: ${text}`,
    };
  });
  return [...told, ...oneRangeEach(tools), ...secretsIn(texts).findings];
}

const usesOf = ({ tools, requests, files, texts }: Sound): Uses => ({
  tools,
  requests: requests.map(({ address, ...request }) => ({ ...request, ...readAddress(address) })),
  files,
  secrets: secretsIn(texts).secrets,
});

const syntaxFinding = ({ line, column, message }: { line: number; column: number; message: string }): Finding => ({
  rule: 'syntax',
  severity: 'error',
  where: 'code',
  line,
  column,
  message: `line ${line}: ${shortText(message, 200)}`,
  remedy: 'Correct the syntax.',
});

const noPython = ({ message, hint = '' }: WeaverError): Finding => ({
  rule: 'needs_python',
  severity: 'error',
  where: 'language',
  message,
  remedy: hint,
});
