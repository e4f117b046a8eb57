import type { Call } from '../catalog/call.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { compileValidator } from '../catalog/validator.ts';
import type { CallRequest, Finding, Principal } from '../contracts.ts';
import { toWeaverError, WeaverError } from '../errors.ts';
import { isSameJson } from '../json.ts';
import type { Example, ExampleResult, Manifest, Proof } from '../library/kind.ts';
import type { Program, Sandbox } from '../sandbox/sandbox.ts';
import { answerOf } from './host.ts';

// Examples are to give the same answer on every machine and day.
const exampleNow = Date.UTC(2026, 0, 1);
const exampleSeed = 1;
const shownBytes = 2_000;

export interface ExampleParts {
  sandbox: () => Sandbox;
  catalog: () => Catalog;
  call: Call;
}

interface Bench {
  manifest: Manifest;
  program: Program;
  principal: Principal;
  signal: AbortSignal;
}

/** Runs every example of a draft, one after the other, and says which gave something else than expected. */
export async function proveExamples(parts: ExampleParts, bench: Bench, examples: readonly Example[]): Promise<Proof> {
  const results: ExampleResult[] = [];
  const findings: Finding[] = [];
  for (const [index, example] of examples.entries()) {
    const startedAt = performance.now();
    const trouble = await tryExample(parts, bench, example);
    const durationMs = Math.round((performance.now() - startedAt) * 100) / 100;
    results.push({ passed: trouble === undefined, durationMs, ...(trouble && { got: trouble.got }) });
    if (trouble) findings.push({ ...trouble.finding, where: `examples[${index}]` });
  }
  return { results, findings };
}

interface Trouble {
  got: unknown;
  finding: Finding;
}

async function tryExample(parts: ExampleParts, bench: Bench, example: Example): Promise<Trouble | undefined> {
  const { manifest, program, signal } = bench;
  const badInput = (await compileValidator(manifest.input, 'input'))(example.input);
  if (badInput.length > 0)
    return trouble('example_input', badInput.join('; '), 'Make the example fit the input schema.', null);
  const result = await parts.sandbox().run({
    id: 'example',
    program,
    input: example.input,
    limits: manifest.limits,
    now: exampleNow,
    seed: exampleSeed,
    callTool: (name, input, inner) => callOrStub(parts, bench, example, { name, input, signal: inner }),
    signal,
  });
  if (!result.ok) {
    const { code, message, hint } = result.error;
    return trouble('example_failed', `[${code}] ${message}`, hint ?? 'Mend the code or the example.', {
      error: result.error.toJSON(),
    });
  }
  const badOutput = manifest.output ? (await compileValidator(manifest.output, 'output'))(result.value) : [];
  if (badOutput.length > 0)
    return trouble('example_output', badOutput.join('; '), 'Make the code fit the output schema.', result.value);
  if (isSameJson(result.value, example.output)) return undefined;
  const message = `expected ${shown(example.output)}, got ${shown(result.value)}`;
  return trouble('example_differs', message, 'Mend the code, or the expectation if it was wrong.', result.value);
}

const trouble = (rule: string, message: string, remedy: string, got: unknown): Trouble => ({
  got,
  finding: { rule, severity: 'error', where: '', message, remedy },
});

interface NestedCall {
  name: string;
  input: unknown;
  signal: AbortSignal;
}

// Code nobody has approved reaches only tools without risk; the example itself answers for every other one.
async function callOrStub(
  { catalog, call }: ExampleParts,
  { manifest, principal }: Bench,
  example: Example,
  nested: NestedCall,
): Promise<unknown> {
  const name = nested.name.split('@')[0] ?? nested.name;
  const tool = catalog().get(principal.tenant, name);
  const isHarmless = tool?.risk === 'none' && name in manifest.lock;
  if (isHarmless) return answerOf(name, await call(nestedRequest(manifest, principal, nested)));
  if (example.stubs && Object.hasOwn(example.stubs, name)) return example.stubs[name];
  throw new WeaverError('not_allowed', `${name} has risk or is not declared, and the example has no stub for it.`, {
    hint: `Add stubs: { "${name}": <what it answers> } to the example.`,
  });
}

const nestedRequest = (manifest: Manifest, principal: Principal, { name, input, signal }: NestedCall): CallRequest => ({
  tool: name,
  input,
  principal: { ...principal, scopes: principal.scopes.filter((scope) => scope !== 'approve') },
  via: 'skill',
  signal,
  caller: { callId: 'example', depth: 1, lock: manifest.lock, capabilities: manifest.capabilities },
});

function shown(value: unknown): string {
  try {
    const text = JSON.stringify(value);
    return text.length > shownBytes ? `${text.slice(0, shownBytes)}…` : text;
  } catch (error) {
    return `(${toWeaverError(error).message})`;
  }
}
