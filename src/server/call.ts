import {
  type CallToolResult,
  type InputRequiredResult,
  ProtocolError,
  ProtocolErrorCode,
  type ServerContext,
} from '@modelcontextprotocol/server';
import { splitName } from '../catalog/catalog.ts';
import type { CallRequest, Principal } from '../contracts.ts';
import { toWeaverError, WeaverError } from '../errors.ts';
import { cancelRun, keepResult } from '../runs/read.ts';
import type { Asker, Returned } from './ask.ts';
import type { McpParts } from './mcp.ts';
import { progressTo } from './progress.ts';
import { isTooLarge, mcpAnswer, toErrorResult, toResult } from './result.ts';

const previewChars = 1_000;
/** After this long a call goes on in the background; hosts give up after 60 s. */
const backgroundAfterMs = 45_000;
const idempotencyMeta = 'toolweaver/idempotency-key';
const maxKeyLength = 200;

interface CallParams {
  name: string;
  arguments?: Record<string, unknown> | undefined;
}

/** Answers `tools/call` (MCP 2025-11-25 and 2026-07-28, tools): a result, a question, or a protocol error. */
export async function callTool(
  parts: McpParts,
  { principal, asker }: { principal: Principal; asker: Asker },
  params: CallParams,
  ctx: ServerContext,
): Promise<CallToolResult | InputRequiredResult> {
  const returned = asker.returned(params.name, ctx);
  if (returned?.kind === 'refused') return refused(parts, principal, returned);
  const answered = new AbortController();
  const request: CallRequest = {
    tool: params.name,
    input: params.arguments ?? {},
    principal,
    via: 'mcp',
    signal: ctx.mcpReq.signal,
    backgroundAfterMs: parts.backgroundAfterMs ?? backgroundAfterMs,
    ...progressTo(ctx, answered.signal),
    ...idempotency(ctx),
    ...(returned && { resume: { runId: returned.runId, answer: returned.answer } }),
  };
  const outcome = await parts.call(request);
  answered.abort();
  if (outcome.status === 'failed') return failed(params.name, outcome.error);
  if (outcome.status === 'asks') {
    return (await asker.ask(params.name, outcome, returned?.round ?? 0, ctx)) ?? toResult(outcome);
  }
  if (outcome.status !== 'done' || !isTooLarge(outcome.value)) return toResult(outcome);
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
async function refused(parts: McpParts, principal: Principal, { runId, how }: Extract<Returned, { kind: 'refused' }>) {
  await cancelRun(parts.database, principal, runId, Date.now()).catch((error: unknown) => {
    parts.log.debug({ error, run: runId }, 'a refused run had ended already');
  });
  const what = how === 'decline' ? 'declined to answer' : 'closed the question';
  return toErrorResult(
    new WeaverError('cancelled', `The person ${what}; nothing was done.`, { hint: 'Ask them what they want instead.' }),
  );
}

function idempotency({ mcpReq }: ServerContext): { idempotencyKey?: string } {
  const key = mcpReq._meta?.[idempotencyMeta];
  return typeof key === 'string' && key !== '' ? { idempotencyKey: key.slice(0, maxKeyLength) } : {};
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
