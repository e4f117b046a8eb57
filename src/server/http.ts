import type { IncomingMessage, ServerResponse } from 'node:http';
import { toNodeHandler, toWebRequest } from '@modelcontextprotocol/node';
import {
  createMcpHandler,
  isInitializeRequest,
  isLegacyRequest,
  type McpHttpHandler,
} from '@modelcontextprotocol/server';
import type { Catalog } from '../catalog/catalog.ts';
import type { Principal } from '../contracts.ts';
import { toWeaverError, WeaverError } from '../errors.ts';
import { readJson } from '../http/body.ts';
import type { Exchange, Route } from '../http/listener.ts';
import { httpStatus, sendJson } from '../http/problem.ts';
import { isRecord } from '../json.ts';
import { createSessions, type Session, sessionLimits } from './http-sessions.ts';
import { createMcpServer, type McpParts } from './mcp.ts';

const coalesceMs = 100;
const maxSubscriptions = 1_024;
const parseError = -32_700;
const invalidRequest = -32_600;
const sessionNotFound = -32_001;
const serverError = -32_000;

export interface McpEdge {
  route: Route;
  /** Calls under way. */
  underWay(): number;
  close(): Promise<void>;
}

type Parts = McpParts & { catalog: Catalog };
type Signed = IncomingMessage & {
  auth?: { token: string; clientId: string; scopes: string[]; extra: { principal: Principal } };
};

/**
 * MCP over Streamable HTTP at `/mcp`, in both eras: stateless requests of 2026-07-28, and sessions for clients that
 * initialize (2025-11-25 and earlier), which without them would get no list_changed and no questions.
 */
export function createMcpEdge(parts: Parts, limits = sessionLimits): McpEdge {
  let underWay = 0;
  const counted: Parts = {
    ...parts,
    call: async (request) => {
      underWay++;
      try {
        return await parts.call(request);
      } finally {
        underWay--;
      }
    },
  };
  const sessions = createSessions(limits);
  const modern = new Map<string, McpHttpHandler>();
  const modernOf = (tenant: string): McpHttpHandler => {
    const known = modern.get(tenant) ?? createModern(counted);
    modern.set(tenant, known);
    return known;
  };

  const announce = coalesced((tenant) => {
    modern.get(tenant)?.notify.toolsChanged();
    for (const { server, principal } of sessions.all()) {
      // A client that is gone is no failure.
      if (principal.tenant === tenant) Promise.resolve(server.sendToolListChanged()).catch(() => {});
    }
  });
  const stopListening = parts.catalog.onChange(announce.soon);

  const serve = async (exchange: Exchange, principal: Principal): Promise<void> => {
    const { request, response } = exchange;
    (request as Signed).auth = {
      token: '',
      clientId: principal.id,
      scopes: [...principal.scopes],
      extra: { principal },
    };
    const body = request.method === 'POST' ? await readJson(request) : undefined;
    if (request.method === 'POST' && body === undefined)
      throw new WeaverError('bad_input', 'The body is empty.', { hint: 'Send one JSON-RPC message.' });
    if (!(await isLegacyRequest(await toWebRequest(request, body), body))) {
      return toNodeHandler(modernOf(principal.tenant))(request, response, body);
    }
    const session = await sessionFor(request, body, principal);
    return inSession(session, exchange, body);
  };

  const sessionFor = async (request: IncomingMessage, body: unknown, principal: Principal): Promise<Session> => {
    const id = request.headers['mcp-session-id'];
    if (typeof id === 'string') return sessions.get(id, principal);
    if (isInitializeRequest(body)) return sessions.begin(principal, () => createMcpServer(counted, principal));
    throw new WeaverError('bad_input', 'The request names no session.', {
      hint: 'Initialize first, and send its mcp-session-id.',
    });
  };

  return {
    route: {
      path: '/mcp',
      handle: (exchange, principal) => serve(exchange, principal).catch((error) => refuse(exchange.response, error)),
    },
    underWay: () => underWay,
    async close() {
      stopListening();
      announce.cancel();
      await Promise.allSettled([sessions.close(), ...[...modern.values()].map((handler) => handler.close())]);
    },
  };
}

function createModern(parts: Parts): McpHttpHandler {
  return createMcpHandler(
    ({ authInfo }) => createMcpServer(parts, (authInfo as NonNullable<Signed['auth']>).extra.principal),
    { legacy: 'reject', maxSubscriptions, onerror: (error) => parts.log.debug({ error }, 'http') },
  );
}

async function inSession(session: Session, { request, response, signal }: Exchange, body: unknown): Promise<void> {
  session.open++;
  response.once('close', () => {
    session.open--;
    session.usedAt = Date.now();
  });
  // This server keeps no answers for a client that comes back: when it is gone, its work stops.
  signal.addEventListener('abort', () => {
    for (const requestId of requestIds(body)) {
      session.transport.onmessage?.({
        jsonrpc: '2.0',
        method: 'notifications/cancelled',
        params: { requestId, reason: 'the client is gone' },
      });
    }
  });
  await session.transport.handleRequest(request, response, body);
}

const requestIds = (body: unknown): (string | number)[] =>
  [body]
    .flat()
    .flatMap((message) => (isRecord(message) && 'method' in message && isId(message.id) ? [message.id] : []));

const isId = (id: unknown): id is string | number => typeof id === 'string' || typeof id === 'number';

/** Refusals at this path are JSON-RPC errors, as MCP's clients read them. */
function refuse(response: ServerResponse, thrown: unknown): void {
  const error = toWeaverError(thrown);
  if (error.code === 'internal' || response.headersSent) throw thrown;
  const status = httpStatus[error.code];
  const code =
    status === 404
      ? sessionNotFound
      : error.cause instanceof SyntaxError
        ? parseError
        : status === 400
          ? invalidRequest
          : serverError;
  if (!response.req.complete) response.setHeader('connection', 'close');
  sendJson(response, status, {
    jsonrpc: '2.0',
    id: null,
    error: { code, message: `${error.message} ${error.hint ?? ''}`.trim() },
  });
}

/** Runs `work` once for a tenant however often it is asked within a tenth of a second. */
function coalesced(work: (tenant: string) => void) {
  const pending = new Map<string, NodeJS.Timeout>();
  return {
    soon(tenant: string): void {
      if (pending.has(tenant)) return;
      pending.set(
        tenant,
        setTimeout(() => {
          pending.delete(tenant);
          work(tenant);
        }, coalesceMs),
      );
    },
    cancel(): void {
      for (const timer of pending.values()) clearTimeout(timer);
    },
  };
}
