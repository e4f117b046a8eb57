import {
  type CallToolResult,
  type InputRequiredResult,
  ProtocolError,
  ProtocolErrorCode,
  type ServerContext,
} from '@modelcontextprotocol/server';
import { splitName } from '../catalog/catalog.ts';
import { maxKeyLength, outcomeOf, backgroundAfterMs as usualAfterMs } from '../catalog/keep.ts';
import type { CallRequest, Outcome, Principal } from '../contracts.ts';
import { toWeaverError, WeaverError } from '../errors.ts';
import { cancelRun, getRun, keepResult } from '../runs/read.ts';
import type { Asker, Returned } from './ask.ts';
import type { McpParts } from './parts.ts';
import { progressTo } from './progress.ts';
import { isTooLarge, mcpAnswer, toErrorResult, toResult } from './result.ts';

const previewChars = 1_000;
const idempotencyMeta = 'toolweaver/idempotency-key';

interface CallParams {
  name: string;
  arguments?: Record<string, unknown> | undefined;
}

/** Answers `tools/call` (MCP 2025-11-25 and 2026-07-28, tools): a result, a question, or a protocol error. */
export async function callTool(
  parts: McpParts,
  caller: { principal: Principal; asker: Asker },
  params: CallParams,
  ctx: ServerContext,
): Promise<CallToolResult | InputRequiredResult> {
  const report = progressTo(ctx, parts.silenceMs);
  try {
    const request = requestOf(parts, caller.principal, params, ctx);
    return await callAndAsk(parts, caller, report ? { ...request, progress: report.progress } : request, ctx);
  } catch (thrown) {
    if (thrown instanceof ProtocolError) throw thrown;
    return failed(params.name, toWeaverError(thrown));
  } finally {
    report?.end();
  }
}

function requestOf(
  { backgroundAfterMs = usualAfterMs }: McpParts,
  principal: Principal,
  { name, arguments: input = {} }: CallParams,
  ctx: ServerContext,
): CallRequest {
  const { signal } = ctx.mcpReq;
  return { tool: name, input, principal, via: 'mcp', signal, backgroundAfterMs, ...idempotency(ctx) };
}

async function callAndAsk(
  parts: McpParts,
  { principal, asker }: { principal: Principal; asker: Asker },
  request: CallRequest,
  ctx: ServerContext,
): Promise<CallToolResult | InputRequiredResult> {
  const { tool } = request;
  for (let returned = asker.returned(tool, ctx); ; ) {
    if (returned?.kind === 'refused') return refused(parts, principal, returned);
    const outcome = await outcomeAfter(parts, request, returned);
    if (outcome.status !== 'asks') return resultOf(parts, request, outcome);
    const asked = await asker.ask(tool, outcome, returned?.round ?? 0, ctx);
    if (!asked) return toResult(outcome);
    if ('resultType' in asked) return asked;
    returned = asked;
  }
}

async function outcomeAfter(
  { call, database }: McpParts,
  request: CallRequest,
  returned: Exclude<Returned, { kind: 'refused' }> | undefined,
): Promise<Outcome> {
  if (returned?.kind === 'answer') return call({ ...request, resume: returned.resume });
  // Asked again, not begun again.
  if (returned) return outcomeOf(await getRun(database, request.principal, returned.runId, Date.now()));
  return call(request);
}

async function resultOf(
  parts: McpParts,
  request: CallRequest,
  outcome: Exclude<Outcome, { status: 'asks' }>,
): Promise<CallToolResult> {
  if (outcome.status === 'failed') return failed(request.tool, outcome.error);
  if (outcome.status === 'running' || !isTooLarge(outcome.value)) return toResult(outcome);
  return toErrorResult(await tooLarge(parts, request, outcome.value));
}

// A name that the client itself got wrong is a protocol error (MCP 2025-11-25, tools, error handling); one that stood
// inside an input is something the model can mend.
function failed(tool: string, error: WeaverError): CallToolResult {
  if (mcpAnswer[error.code] === 'protocol' && error.details?.tool === tool.slice(0, 100)) {
    throw new ProtocolError(
      ProtocolErrorCode.InvalidParams,
      `Unknown tool: ${error.message} ${error.hint ?? ''}`.trim(),
    );
  }
  return toErrorResult(error);
}

// A refusal is the end: asked again, clients would go on for ten rounds.
async function refused(
  { database }: McpParts,
  principal: Principal,
  { runId, questionId, how }: Extract<Returned, { kind: 'refused' }>,
): Promise<CallToolResult> {
  const { question, state } = await getRun(database, principal, runId, Date.now());
  if (question?.id === questionId) await cancelRun(database, principal, runId, Date.now());
  else if (state !== 'cancelled') {
    throw new WeaverError('conflict', `${runId} does not ask that any more.`, {
      hint: 'get_run shows where it stands.',
    });
  }
  const what = how === 'decline' ? 'declined to answer' : 'closed the question';
  return toErrorResult(
    new WeaverError('cancelled', `The person ${what}; the call has ended.`, {
      hint: 'Ask them what they want instead.',
    }),
  );
}

function idempotency({ mcpReq }: ServerContext): { idempotencyKey?: string } {
  const key = mcpReq._meta?.[idempotencyMeta];
  if (key === undefined) return {};
  if (typeof key === 'string' && key !== '' && key.length <= maxKeyLength) return { idempotencyKey: key };
  throw new WeaverError('bad_input', `_meta["${idempotencyMeta}"] is a text of 1 to ${maxKeyLength} characters.`, {
    hint: 'Use a random one for each new call, such as a UUID.',
  });
}

async function tooLarge({ catalog, database }: McpParts, request: CallRequest, value: unknown): Promise<WeaverError> {
  const { principal } = request;
  const called = catalog.get(principal.tenant, request.tool);
  const { name } = splitName(called?.forward?.(request.input).tool ?? request.tool);
  const text = JSON.stringify(value);
  const preview = text.slice(0, previewChars);
  const done = `${name} is done; its result of ${text.length} characters`;
  try {
    const runId = await keepResult(database, { principal, tool: name, input: request.input, value }, Date.now());
    return new WeaverError('too_large', `${done} is kept for an hour.`, {
      hint: `Read it in parts: get_run { "run_id": "${runId}", "path": "", "offset": 0, "limit": 100 }. Do not call ${name} again for it.`,
      details: { run_id: runId, preview },
    });
  } catch (thrown) {
    // What the tool did is done: saying only that something failed would have it done twice.
    const { code, message } = toWeaverError(thrown);
    return new WeaverError('too_large', `${done} could not be kept: [${code}] ${message}`, {
      hint: `Before you call ${name} again, think of what it has done already.`,
      details: { preview },
    });
  }
}
