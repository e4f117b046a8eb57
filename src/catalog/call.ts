import { randomUUID } from 'node:crypto';
import { satisfies, validRange } from 'semver';
import type { EventSink } from '../analytics/events.ts';
import type { CallRequest, Outcome, Principal } from '../contracts.ts';
import { toWeaverError, WeaverError } from '../errors.ts';
import { byteLength, isWithinDepth } from '../json.ts';
import type { Log } from '../log.ts';
import { type Catalog, splitName, type ToolSource, unknownTool } from './catalog.ts';
import { underDeadline } from './deadline.ts';
import type { Tool, ToolContext } from './tool.ts';
import { compileValidator } from './validator.ts';

export const maxNesting = 8;
export const maxJsonDepth = 64;
export const maxOutputBytes = 1_000_000;

export type Call = (request: CallRequest) => Promise<Outcome>;

interface Road {
  catalog: Catalog;
  source: ToolSource;
  sink: Pick<EventSink, 'record'>;
  log: Log;
  callTimeoutMs: number;
}

interface Found {
  tool: Tool;
  request: CallRequest;
  onlyReading: boolean;
}

/**
 * The one road to every tool. `call` never throws. Its stations: find, authorise, check input, policy, run under a
 * deadline, check output, record.
 */
export function createCall(road: Road): Call {
  const call: Call = async (request) => {
    const startedAt = Date.now();
    const clock = performance.now();
    const callId = randomUUID();
    let found: Found | undefined;
    let outcome: Outcome;
    try {
      found = await find(road, request);
      authorise(found);
      await checkInput(found);
      checkPolicy(found);
      outcome = await run(road, found, callId, call);
      await checkOutput(found.tool, outcome);
    } catch (thrown) {
      outcome = failure(road.log, request, thrown);
    }
    record(road, { found, request, outcome, callId, startedAt, durationMs: performance.now() - clock });
    return outcome;
  };
  return call;
}

async function find(road: Road, request: CallRequest): Promise<Found> {
  await road.source.freshen(request.principal.tenant);
  const tool = await findTool(road, request);
  if (!tool.forward) return { tool, request, onlyReading: false };
  await checkInput({ tool, request });
  const { onlyReading, ...target } = tool.forward(request.input);
  const forwarded = { ...request, version: undefined, ...target };
  const named = await findTool(road, forwarded);
  if (named.forward) {
    throw new WeaverError('bad_input', `${tool.name} cannot call ${named.name}.`, {
      hint: `Call ${named.name} itself.`,
    });
  }
  return { tool: named, request: forwarded, onlyReading };
}

async function findTool({ catalog, source }: Road, request: CallRequest): Promise<Tool> {
  const { name, range } = splitName(request.tool);
  const { tenant } = request.principal;
  const locked = request.caller?.lock?.[name];
  const wanted = locked?.version ?? request.version ?? range;
  if (wanted !== undefined && validRange(wanted) === null) {
    throw new WeaverError('bad_input', `${JSON.stringify(wanted.slice(0, 50))} is no version or range.`, {
      hint: `Write ${name}@1.2.3, ${name}@^1, or only ${name}.`,
    });
  }
  const listed = catalog.get(tenant, name);
  if (listed && (wanted === undefined || isVersion(listed, wanted))) return listed;
  const loaded = listed?.kind === 'builtin' ? undefined : await source.load(tenant, name, wanted ?? '*');
  if (!loaded) throw unknownTool(catalog, request.principal, request.tool);
  if (locked && loaded.seal !== locked.seal) {
    throw new WeaverError('seal_broken', `${name} ${loaded.version} is not what was reviewed with its caller.`, {
      hint: 'Save the calling skill again, so that it is locked and reviewed anew.',
    });
  }
  return loaded;
}

const isVersion = (tool: Tool, range: string): boolean => tool.version !== undefined && satisfies(tool.version, range);

function authorise({ tool, request: { caller, principal } }: Found): void {
  if (caller) {
    if (caller.depth > maxNesting) {
      throw new WeaverError('limit_exceeded', `${tool.name}: calls nest deeper than ${maxNesting}.`, {
        hint: 'Flatten the chain of skills that call skills.',
        details: { limit: 'nesting' },
      });
    }
    const isGranted = caller.lock?.[tool.name] ?? caller.capabilities?.tools.some((grant) => grant.name === tool.name);
    if (isGranted) return;
    throw new WeaverError('not_allowed', `The calling code was not granted ${tool.name}.`, {
      hint: 'Only tools that its source names literally were reviewed with it.',
    });
  }
  if (principal.scopes.includes(tool.needs)) return;
  throw new WeaverError('not_allowed', `${tool.name} needs the scope "${tool.needs}", which ${principal.id} lacks.`, {
    hint: 'Ask the person who runs ToolWeaver for a role that has it.',
  });
}

async function checkInput({ tool, request }: Pick<Found, 'tool' | 'request'>): Promise<void> {
  if (!isWithinDepth(request.input, maxJsonDepth)) {
    throw new WeaverError('bad_input', `${tool.name}: the input nests deeper than ${maxJsonDepth}.`, {
      hint: 'Flatten it.',
    });
  }
  const problems = (await compileValidator(tool.input, 'input'))(request.input);
  if (problems.length === 0) return;
  throw new WeaverError('bad_input', `${tool.name}: ${problems.join('; ')}`, {
    hint: `describe_tool ${JSON.stringify({ name: tool.name })} shows what it takes.`,
    details: { problems },
  });
}

function checkPolicy({ tool, onlyReading }: Found): void {
  if (!onlyReading || tool.annotations.readOnlyHint) return;
  throw new WeaverError('not_allowed', `${tool.name} is not known to be read-only.`, { hint: 'Use call_tool for it.' });
}

async function run(road: Road, { tool, request }: Found, callId: string, call: Call): Promise<Outcome> {
  const deadlineAt = Math.min(request.deadlineAt ?? Infinity, Date.now() + road.callTimeoutMs);
  return underDeadline(request.signal, deadlineAt, tool.name, (signal) => {
    const ctx: ToolContext = {
      request,
      callId,
      runId: callId,
      signal,
      progress: (progress) => request.progress?.(progress),
      call: (name, input) => call(nestedRequest(tool, request, { name, input, callId, signal, deadlineAt })),
    };
    return tool.run(request.input, ctx);
  });
}

interface Nested {
  name: string;
  input: unknown;
  callId: string;
  signal: AbortSignal;
  deadlineAt: number;
}

function nestedRequest(
  tool: Tool,
  request: CallRequest,
  { name, input, callId, signal, deadlineAt }: Nested,
): CallRequest {
  return {
    tool: name,
    input,
    principal: withoutApproval(request.principal),
    via: tool.kind === 'workflow' ? 'workflow' : 'skill',
    signal,
    deadlineAt,
    caller: {
      callId,
      depth: (request.caller?.depth ?? 0) + 1,
      ...(tool.lock && { lock: tool.lock }),
      ...(tool.capabilities && { capabilities: tool.capabilities }),
    },
  };
}

// Code never decides for a person, not even when a person calls it.
const withoutApproval = (principal: Principal): Principal =>
  principal.scopes.includes('approve')
    ? { ...principal, scopes: principal.scopes.filter((scope) => scope !== 'approve') }
    : principal;

async function checkOutput(tool: Tool, outcome: Outcome): Promise<void> {
  if (outcome.status !== 'done') return;
  const { value } = outcome;
  if (!isWithinDepth(value, maxJsonDepth)) throw outputTooLarge(tool, `nests deeper than ${maxJsonDepth}`, 'depth');
  const bytes = jsonBytes(value);
  if (bytes > maxOutputBytes) throw outputTooLarge(tool, `is ${bytes} bytes, over ${maxOutputBytes}`, 'output');
  if (!tool.output) return;
  const problems = (await compileValidator(tool.output, 'output'))(value);
  if (problems.length === 0) return;
  throw new WeaverError(
    'bad_output',
    `${tool.name} answered what its output schema does not allow: ${problems.join('; ')}`,
    {
      hint: 'Its author should mend the code or the schema and save it again.',
      details: { problems },
    },
  );
}

const outputTooLarge = (tool: Tool, what: string, limit: string) =>
  new WeaverError('limit_exceeded', `${tool.name}: the output ${what}.`, {
    hint: 'Return less: a part, a summary, or a page.',
    details: { limit },
  });

const jsonBytes = (value: unknown): number => byteLength(JSON.stringify(value) ?? 'null');

function failure(log: Log, request: CallRequest, thrown: unknown): Outcome {
  const error = toWeaverError(thrown);
  if (error.code === 'internal') log.error({ error: error.cause, tool: request.tool }, 'a call failed unforeseen');
  return { status: 'failed', error };
}

interface Ended {
  found: Found | undefined;
  request: CallRequest;
  outcome: Outcome;
  callId: string;
  startedAt: number;
  durationMs: number;
}

function record({ sink, log }: Road, { found, request, outcome, callId, startedAt, durationMs }: Ended): void {
  try {
    const bytesOut = outcome.status === 'done' ? jsonBytes(outcome.value) : 0;
    sink.record({
      id: callId,
      at: startedAt,
      tenant: request.principal.tenant,
      tool: found?.tool.name ?? request.tool.slice(0, 100),
      kind: found?.tool.kind ?? 'unknown',
      version: found?.tool.version,
      principal: request.principal.id,
      via: request.via,
      code: outcome.status === 'failed' ? outcome.error.code : outcome.status,
      durationMs,
      bytesIn: isWithinDepth(request.input, maxJsonDepth) ? jsonBytes(request.input) : 0,
      bytesOut,
      tokens: Math.ceil(bytesOut / 4),
      parent: request.caller?.callId,
      search: request.searchId,
    });
  } catch (error) {
    log.warn({ error }, 'a call event could not be recorded');
  }
}
