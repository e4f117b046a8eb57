import { McpServer, ProtocolError, ProtocolErrorCode } from '@modelcontextprotocol/server';
import { signingKey } from '../access/keys.ts';
import { requireScope } from '../catalog/grants.ts';
import type { Principal } from '../contracts.ts';
import { toWeaverError } from '../errors.ts';
import type { Log } from '../log.ts';
import { version } from '../package.ts';
import { createAsker } from './ask.ts';
import { callTool } from './call.ts';
import { instructions } from './instructions.ts';
import type { McpParts } from './parts.ts';
import { getPrompt, listPrompts } from './prompts.ts';
import { listResources, readResource, resourceTemplates } from './resources.ts';

const listTtlMs = 5_000;
const cacheHint = { ttlMs: listTtlMs, cacheScope: 'private' as const };

/** An MCP server for one connection and principal: a view over the catalog, in both eras. */
export function createMcpServer(parts: McpParts, principal: Principal): McpServer {
  const asker = createAsker({
    key: () => signingKey(parts.database, principal.tenant, 'request-state'),
    principal,
    elicitationCounts: parts.config.elicitationApproves,
    server: () => mcp,
  });
  const mcp = new McpServer(
    { name: 'toolweaver', title: 'ToolWeaver', version },
    {
      // Said outright: the SDK declares listChanged for what is silent about it, and only changes of tools are announced.
      capabilities: {
        tools: { listChanged: true },
        resources: { listChanged: false },
        prompts: { listChanged: false },
      },
      instructions,
      cacheHints: { 'tools/list': cacheHint, 'resources/list': cacheHint },
      requestState: { verify: asker.verify },
    },
  );
  const { server } = mcp;
  const { log } = parts;
  server.setRequestHandler('tools/list', ({ params }) =>
    answer(log, () => listTools(parts, principal, params?.cursor)),
  );
  server.setRequestHandler('tools/call', ({ params }, ctx) => callTool(parts, { principal, asker }, params, ctx));
  server.setRequestHandler('resources/list', ({ params }) =>
    answer(log, () => listResources(parts, principal, params?.cursor)),
  );
  server.setRequestHandler('resources/templates/list', () => ({ resourceTemplates }));
  server.setRequestHandler('resources/read', ({ params }, { mcpReq }) =>
    answer(log, () => readResource(parts, principal, params.uri, mcpReq.signal)),
  );
  server.setRequestHandler('prompts/list', () => ({ prompts: listPrompts() }));
  server.setRequestHandler('prompts/get', ({ params }) =>
    answer(log, async () => getPrompt(params.name, params.arguments ?? {})),
  );
  parts.extend?.(mcp);
  return mcp;
}

async function listTools({ source, listing }: McpParts, principal: Principal, cursor: string | undefined) {
  requireScope(principal, 'read', 'tools/list');
  const { tenant } = principal;
  await source.freshen(tenant);
  const { tools, nextCursor } = await listing.page(tenant, cursor);
  return { tools, ...(nextCursor !== undefined && { nextCursor }) };
}

/** Turns an error into a protocol error: these methods have no results that are errors. */
async function answer<T>(log: Log, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    if (thrown instanceof ProtocolError) throw thrown;
    const error = toWeaverError(thrown);
    if (error.code === 'internal') log.error({ error: error.cause }, 'a request failed unforeseen');
    const isTheirs = ['bad_input', 'not_found', 'not_allowed'].includes(error.code);
    const code = isTheirs ? ProtocolErrorCode.InvalidParams : ProtocolErrorCode.InternalError;
    throw new ProtocolError(code, `${error.message} ${error.hint ?? ''}`.trim(), error.toJSON());
  }
}
