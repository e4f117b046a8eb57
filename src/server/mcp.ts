import {
  type CallToolResult,
  McpServer,
  ProtocolError,
  ProtocolErrorCode,
  type ServerContext,
} from '@modelcontextprotocol/server';
import type { Call } from '../catalog/call.ts';
import { splitName, type ToolSource } from '../catalog/catalog.ts';
import type { CallRequest, Principal, Progress } from '../contracts.ts';
import { toWeaverError, WeaverError } from '../errors.ts';
import type { Log } from '../log.ts';
import { version } from '../package.ts';
import { keepResult } from '../runs/kept.ts';
import type { Database } from '../store/database.ts';
import { instructions } from './instructions.ts';
import type { Listing } from './listing.ts';
import { isTooLarge, mcpAnswer, toErrorResult, toResult } from './result.ts';

const listTtlMs = 5_000;
const previewChars = 1_000;

export interface McpParts {
  call: Call;
  listing: Listing;
  source: ToolSource;
  database: Database;
  log: Log;
}

/** An MCP server for one connection and principal: a view of two handlers over the catalog, in both eras. */
export function createMcpServer(parts: McpParts, principal: Principal): McpServer {
  const mcp = new McpServer(
    { name: 'toolweaver', title: 'ToolWeaver', version },
    {
      capabilities: { tools: { listChanged: true } },
      instructions,
      cacheHints: { 'tools/list': { ttlMs: listTtlMs, cacheScope: 'private' } },
    },
  );
  mcp.server.setRequestHandler('tools/list', (request) => listTools(parts, principal, request.params?.cursor));
  mcp.server.setRequestHandler('tools/call', (request, ctx) => callTool(parts, principal, request.params, ctx));
  return mcp;
}

async function listTools({ source, listing, log }: McpParts, { tenant }: Principal, cursor: string | undefined) {
  try {
    await source.freshen(tenant);
    const { tools, nextCursor } = await listing.page(tenant, cursor);
    return { tools, ...(nextCursor !== undefined && { nextCursor }) };
  } catch (thrown) {
    const error = toWeaverError(thrown);
    if (error.code === 'internal') log.error({ error: error.cause }, 'tools/list failed');
    const code = error.code === 'bad_input' ? ProtocolErrorCode.InvalidParams : ProtocolErrorCode.InternalError;
    throw new ProtocolError(code, `${error.message} ${error.hint ?? ''}`.trim(), error.toJSON());
  }
}

async function callTool(
  parts: McpParts,
  principal: Principal,
  params: { name: string; arguments?: Record<string, unknown> | undefined },
  ctx: ServerContext,
): Promise<CallToolResult> {
  const request: CallRequest = {
    tool: params.name,
    input: params.arguments ?? {},
    principal,
    via: 'mcp',
    signal: ctx.mcpReq.signal,
    ...progressTo(ctx),
  };
  const outcome = await parts.call(request);
  if (outcome.status === 'failed') return failed(params.name, outcome.error);
  if (outcome.status !== 'done' || !isTooLarge(outcome.value)) return toResult(outcome);
  try {
    return toErrorResult(await tooLarge(parts.database, request, outcome.value));
  } catch (thrown) {
    return toErrorResult(toWeaverError(thrown));
  }
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

async function tooLarge(database: Database, request: CallRequest, value: unknown): Promise<WeaverError> {
  const forwarded = request.tool === 'call_tool' || request.tool === 'call_read_tool';
  const named = forwarded ? String((request.input as { name?: unknown }).name) : request.tool;
  const { name } = splitName(named);
  const runId = await keepResult(database, { principal: request.principal, tool: name, value }, Date.now());
  const text = JSON.stringify(value);
  return new WeaverError('too_large', `${name} is done; its result of ${text.length} characters is kept for an hour.`, {
    hint: `Read it in parts: get_run { "run_id": "${runId}", "path": "", "offset": 0, "limit": 100 }. Do not call ${name} again for it.`,
    details: { run_id: runId, preview: text.slice(0, previewChars) },
  });
}

// Only to clients that gave a token, and only upwards (MCP, progress).
function progressTo(ctx: ServerContext): Pick<CallRequest, 'progress'> {
  const progressToken = ctx.mcpReq._meta?.progressToken;
  if (progressToken === undefined) return {};
  let last = -1;
  return {
    progress: ({ done, total, message }: Progress) => {
      if (done <= last || ctx.mcpReq.signal.aborted) return;
      last = done;
      const params = {
        progressToken,
        progress: done,
        ...(total !== undefined && { total }),
        ...(message && { message }),
      };
      // A client that is gone needs no progress; the call itself notices by its signal.
      ctx.mcpReq.notify({ method: 'notifications/progress', params }).catch(() => {});
    },
  };
}
