import type { EventSink } from '../analytics/events.ts';
import { type Caller, type CallRequest, type Outcome, type Progress, withoutApproval } from '../contracts.ts';
import { toWeaverError, WeaverError } from '../errors.ts';
import { isWithinDepth, jsonBytes, maxJsonDepth } from '../json.ts';
import type { Log } from '../log.ts';
import { newRunId } from '../runs/table.ts';
import type { Catalog, ToolSource } from './catalog.ts';
import { underDeadline } from './deadline.ts';
import { beginEvent } from './event.ts';
import { findTool } from './find.ts';
import { mayCall, requireScope } from './grants.ts';
import { type KeepParts, keepCall } from './keep.ts';
import { type ResumeRules, refuseUnrepeatable, resumedRequest, takenRequest } from './resume.ts';
import type { Tool, ToolContext } from './tool.ts';
import { compileValidator } from './validator.ts';

export const maxNesting = 8;
const maxOutputBytes = 1_000_000;

export type Call = (request: CallRequest) => Promise<Outcome>;

interface Road extends KeepParts, ResumeRules {
  catalog: Catalog;
  source: ToolSource;
  sink: Pick<EventSink, 'record'>;
  callTimeoutMs: number;
}

interface Found {
  tool: Tool;
  request: CallRequest;
  onlyReading: boolean;
}

/**
 * The one road to every tool. `call` never throws. Its stations: find, authorise, check input, policy, run under a
 * deadline, check output, record. What must outlive the request is kept on the way (keep.ts).
 */
export function createCall(road: Road): Call {
  const call: Call = async (request) => {
    const event = beginEvent(road, request);
    try {
      const found = await findGoing(road, request);
      event.found = found;
      authorise(found);
      await checkInput(found);
      checkPolicy(found);
      const runId = found.request.resume?.runId ?? newRunId();
      const work = async (stop: AbortController, progress: (progress: Progress) => void): Promise<Outcome> =>
        event.record(await attempt(road, found, { call, callId: event.callId, runId, stop, progress }));
      const record = (outcome: Outcome): Outcome => event.record(outcome);
      const { callId } = event;
      return await keepCall(road, { tool: found.tool, request: found.request, callId, runId, work, record });
    } catch (thrown) {
      return event.record(failure(road.log, request, thrown));
    }
  };
  return call;
}

interface Attempt {
  call: Call;
  callId: string;
  runId: string;
  stop: AbortController;
  progress(progress: Progress): void;
}

/** Runs the tool and checks what comes of it; never throws. */
async function attempt(road: Road, found: Found, how: Attempt): Promise<Outcome> {
  try {
    const outcome = await run(road, found, how);
    await checkOutput(found.tool, outcome);
    if (outcome.status === 'asks' && isCode(found.request)) throw cannotWait(found.tool);
    return outcome;
  } catch (thrown) {
    return failure(road.log, found.request, thrown);
  }
}

const isCode = ({ via }: CallRequest): boolean => via === 'skill' || via === 'code';

const cannotWait = ({ name }: Tool): WeaverError =>
  new WeaverError('needs_person', `${name} asks something; code cannot wait for the answer.`, {
    hint: 'Call it outside the code, and hand in what it answers.',
  });

/** What is to run: the tool that the request names, or the one of the run that it goes on with. */
async function findGoing(road: Road, request: CallRequest): Promise<Found> {
  const lease = request.resume?.lease;
  if (lease !== undefined) {
    const found = await find(road, await takenRequest(road.database, request, lease));
    refuseUnrepeatable(found.tool);
    return found;
  }
  if (request.resume) return find(road, await resumedRequest(road.database, request, road));
  const found = await find(road, request);
  if (!found.tool.answers) return found;
  authorise(found);
  await checkInput(found);
  checkPolicy(found);
  const resume = found.tool.answers(found.request.input, found.request);
  return find(road, await resumedRequest(road.database, { ...found.request, resume }, road));
}

async function find(road: Road, request: CallRequest): Promise<Found> {
  await freshen(road, request);
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

async function freshen({ source }: Road, { principal, caller }: CallRequest): Promise<void> {
  try {
    await source.freshen(principal.tenant);
  } catch (error) {
    // A call under way still ends once a newer ToolWeaver has migrated the database; only new ones are refused.
    if (!caller || toWeaverError(error).code !== 'database_newer') throw error;
  }
}

function authorise({ tool, request: { caller, principal } }: Found): void {
  if (caller) {
    if (caller.depth > maxNesting) {
      throw new WeaverError('limit_exceeded', `${tool.name}: calls nest deeper than ${maxNesting}.`, {
        hint: 'Flatten the chain of skills that call skills.',
        details: { limit: 'nesting' },
      });
    }
    if (!caller.named) return authoriseBySeal(tool, caller);
  }
  if (!mayCall(principal, tool.name)) {
    throw new WeaverError('not_allowed', `${principal.id} may not use ${tool.name}.`, {
      hint: 'Its token names the tools that it may use.',
    });
  }
  requireScope(principal, tool.needs, tool.name);
}

function authoriseBySeal({ name }: Tool, { lock = {}, capabilities }: Caller): void {
  if (Object.hasOwn(lock, name) || capabilities?.tools.some((grant) => grant.name === name)) return;
  throw new WeaverError('not_allowed', `The calling code was not granted ${name}.`, {
    hint: 'Only tools that its source names literally were reviewed with it.',
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

function checkPolicy({ tool: { name, annotations }, request: { caller }, onlyReading }: Found): void {
  if (annotations.readOnlyHint) return;
  const isUnnamed = caller?.named !== undefined && !caller.named.includes(name);
  if (!onlyReading && !isUnnamed) return;
  throw new WeaverError('not_allowed', `${name} is not known to be read-only.`, {
    hint: isUnnamed ? `Name it in the input of run_code: "tools": ["${name}"].` : 'Use call_tool for it.',
  });
}

async function run(
  road: Road,
  { tool, request }: Found,
  { call, callId, runId, stop, progress }: Attempt,
): Promise<Outcome> {
  const deadlineAt = Math.min(request.deadlineAt ?? Infinity, Date.now() + road.callTimeoutMs);
  if (deadlineAt <= Date.now()) throw new WeaverError('timed_out', `${tool.name} was not begun: its time was over.`);
  return underDeadline(stop, deadlineAt, tool.name, (ended) => {
    const ctx: ToolContext = {
      request,
      callId,
      runId,
      signal: ended,
      progress,
      call: (name, input) => call(nestedRequest(tool, request, { name, input, callId, signal: ended })),
    };
    return tool.run(request.input, ctx);
  });
}

interface Nested {
  name: string;
  input: unknown;
  callId: string;
  /** Also fires at the caller's deadline: a time of day would be another one once the clock jumps. */
  signal: AbortSignal;
}

function nestedRequest(tool: Tool, request: CallRequest, { name, input, callId, signal }: Nested): CallRequest {
  return {
    tool: name,
    input,
    principal: withoutApproval(request.principal),
    via: viaOf(tool),
    signal,
    caller: {
      callId,
      depth: (request.caller?.depth ?? 0) + 1,
      ...(tool.lock && { lock: tool.lock }),
      ...(tool.capabilities && { capabilities: tool.capabilities }),
      ...(tool.named && { named: tool.named(request.input) }),
    },
  };
}

const viaOf = ({ kind, named }: Tool): CallRequest['via'] =>
  named ? 'code' : kind === 'workflow' ? 'workflow' : 'skill';

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

function failure(log: Log, request: CallRequest, thrown: unknown): Outcome {
  const error = toWeaverError(thrown);
  if (error.code === 'internal') log.error({ error: error.cause, tool: request.tool }, 'a call failed unforeseen');
  return { status: 'failed', error };
}
