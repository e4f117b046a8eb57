import type { Call } from '../catalog/call.ts';
import { type Catalog, splitName } from '../catalog/catalog.ts';
import { compileValidator } from '../catalog/validator.ts';
import { type CallRequest, type Finding, type Lock, type Principal, type Risk, withoutApproval } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import { isSameJson } from '../json.ts';
import type { Example, ExampleResult, Manifest, Proof } from '../library/kind.ts';
import { getVersion } from '../library/table.ts';
import type { Engine, JobResult, Program, Sandbox } from '../sandbox/sandbox.ts';
import type { Database } from '../store/database.ts';
import type { Bridge } from './bridge.ts';
import { answerOf } from './host.ts';
import { withStubs } from './stub-bridge.ts';

// Examples are to give the same answer on every machine and day.
const exampleNow = Date.UTC(2026, 0, 1);
const exampleSeed = 1;
const shownCharacters = 2_000;

export interface ExampleParts {
  database: Database;
  sandbox: (engine: Engine) => Sandbox;
  catalog: () => Catalog;
  call: Call;
}

interface Bench {
  manifest: Manifest;
  program: Program;
  principal: Principal;
  signal: AbortSignal;
}

/** What the examples came to; `isTooSlow` where the code computed for too long in one of them. */
export interface ExampleProof extends Proof {
  isTooSlow: boolean;
}

/** Runs every example of a draft, one after the other, and says which gave something else than expected. */
export async function proveExamples(
  parts: ExampleParts,
  bench: Bench,
  examples: readonly Example[],
): Promise<ExampleProof> {
  const results: ExampleResult[] = [];
  const findings: Finding[] = [];
  let isTooSlow = false;
  for (const [index, example] of examples.entries()) {
    const startedAt = performance.now();
    const trouble = await tryExample(parts, bench, example);
    const durationMs = Math.round((performance.now() - startedAt) * 100) / 100;
    results.push({ passed: trouble === undefined, durationMs, ...(trouble && { got: trouble.got }) });
    isTooSlow ||= trouble?.limit === 'cpu';
    if (trouble) findings.push(findingAt(`examples[${index}]`, trouble.finding));
  }
  return { results, findings, isTooSlow };
}

interface Trouble {
  got: unknown;
  /** Which limit the code went over. */
  limit?: unknown;
  finding: Omit<Finding, 'where'>;
}

const findingAt = (where: string, { message, ...finding }: Trouble['finding']): Finding => ({
  ...finding,
  where,
  message: `${where}: ${message}`,
});

async function tryExample(parts: ExampleParts, bench: Bench, example: Example): Promise<Trouble | undefined> {
  const { manifest } = bench;
  const badInput = (await compileValidator(manifest.input, 'input'))(example.input);
  if (badInput.length > 0)
    return trouble('example_input', badInput.join('; '), 'Make the example fit the input schema.', null);
  const { files } = manifest.capabilities;
  const result = await withStubs(example.stubs ?? {}, files, (bridge) => runExample(parts, bench, example, bridge));
  if (result.ok) return judge(manifest, example, result.value);
  const { code, message, hint, details } = result.error;
  const remedy = hint ?? 'Mend the code or the example.';
  const failure = trouble('example_failed', `[${code}] ${message}`, remedy, { error: result.error.toJSON() });
  return { ...failure, limit: details?.limit };
}

function runExample(parts: ExampleParts, bench: Bench, example: Example, bridge: Bridge): Promise<JobResult> {
  const { manifest, program, signal } = bench;
  return parts.sandbox(manifest.engine).run({
    id: 'example',
    owner: `${bench.principal.tenant}/example`,
    program,
    input: example.input,
    limits: manifest.limits,
    now: exampleNow,
    seed: exampleSeed,
    async callTool(name, input, inner) {
      if (bridge.has(name)) return bridge.call(name, input, inner);
      return callOrStub(parts, bench, example, { name, input, signal: inner });
    },
    signal,
  });
}

async function judge(manifest: Manifest, { output }: Example, value: unknown): Promise<Trouble | undefined> {
  const text = shown(value);
  const got = text.endsWith('…') ? text : value;
  const badOutput = manifest.output ? (await compileValidator(manifest.output, 'output'))(value) : [];
  if (badOutput.length > 0)
    return trouble('example_output', badOutput.join('; '), 'Make the code fit the output schema.', got);
  if (isSameJson(value, output)) return undefined;
  const remedy = 'Mend the code, or the expectation if it was wrong.';
  return trouble('example_differs', `expected ${shown(output)}, got ${text}`, remedy, got);
}

const trouble = (rule: string, message: string, remedy: string, got: unknown): Trouble => ({
  got,
  finding: { rule, severity: 'error', message, remedy },
});

interface NestedCall {
  name: string;
  input: unknown;
  signal: AbortSignal;
}

// Code nobody has approved reaches only tools without risk; the example itself answers for every other one. What was not
// granted goes on the road too, which refuses it as it will when the skill runs.
async function callOrStub(
  parts: ExampleParts,
  { manifest, principal }: Bench,
  { stubs }: Example,
  nested: NestedCall,
): Promise<unknown> {
  const { name } = splitName(nested.name);
  const isGranted = manifest.capabilities.tools.some((tool) => tool.name === name);
  if (!isGranted || (await riskOf(parts, principal.tenant, manifest.lock, name)) === 'none') {
    return answerOf(name, await parts.call(nestedRequest(manifest, principal, nested)));
  }
  if (stubs && Object.hasOwn(stubs, name)) return stubs[name];
  throw new WeaverError('not_allowed', `${name} has risk, and the example has no stub for it.`, {
    hint: `Add stubs: { "${name}": <what it answers> } to the example.`,
  });
}

// What counts is the version that is locked; the active one may be more harmless.
async function riskOf(
  { catalog, database }: ExampleParts,
  tenant: string,
  lock: Lock,
  name: string,
): Promise<Risk | undefined> {
  const locked = Object.hasOwn(lock, name) ? lock[name] : undefined;
  if (!locked) return catalog().get(tenant, name)?.risk;
  return (await getVersion(database.read, tenant, name, locked.version))?.risk;
}

const nestedRequest = (manifest: Manifest, principal: Principal, { name, input, signal }: NestedCall): CallRequest => ({
  tool: name,
  input,
  principal: withoutApproval(principal),
  via: 'skill',
  signal,
  caller: { callId: 'example', depth: 1, lock: manifest.lock, capabilities: manifest.capabilities },
});

function shown(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > shownCharacters ? `${text.slice(0, shownCharacters)}…` : text;
}
