import type { IncomingMessage, ServerResponse } from 'node:http';
import { toNodeHandler } from '@modelcontextprotocol/node';
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
import { sendJson, setRefusalHeaders, statusOf, wrongMethod } from '../http/problem.ts';
import { isRecord } from '../json.ts';
import { coalesced } from './announce.ts';
import { createSessions, type Session, type SessionLimits, type Sessions } from './http-sessions.ts';
import { createMcpServer } from './mcp.ts';
import type { McpParts } from './parts.ts';

const maxSubscriptions = 1_024;
const modernVersion = '2026-07-28';
const parseError = -32_700;
const invalidRequest = -32_600;
const sessionNotFound = -32_001;
const serverError = -32_000;

export interface McpEdge {
  route: Route;
  /** The tenants whose clients may be listening. */
  tenants(): Set<string>;
  /** Ends sessions and subscriptions, and cancels calls that are under way. */
  close(): Promise<void>;
}

export interface McpEdgeOptions {
  sessions?: SessionLimits | undefined;
  /** Subscriptions of 2026-07-28 clients at once. */
  maxSubscriptions?: number | undefined;
}

type Parts = McpParts & { catalog: Catalog };
type Signed = IncomingMessage & {
  auth?: { token: string; clientId: string; scopes: string[]; extra: { principal: Principal } };
};

/**
 * MCP over Streamable HTTP at `/mcp`, in both eras: stateless requests of 2026-07-28, and sessions for clients that
 * initialize (2025-11-25 and earlier), which without them would get no list_changed and no questions.
 */
export function createMcpEdge(parts: Parts, options: McpEdgeOptions = {}): McpEdge {
  const sessions = createSessions(options.sessions);
  const modern = new Map<string, McpHttpHandler>();
  const modernOf = (tenant: string): McpHttpHandler => {
    const known = modern.get(tenant) ?? createModern(parts, options.maxSubscriptions ?? maxSubscriptions);
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
    const body = request.method === 'POST' ? await readJson(request) : undefined;
    if (request.method === 'POST' && body === undefined)
      throw new WeaverError('bad_input', 'The body is empty.', { hint: 'Send one JSON-RPC message.' });
    exchange.isLasting = isStream(request, body);
    if (!(await isOfSessions(request, body))) {
      sign(request, principal);
      return toNodeHandler(modernOf(principal.tenant))(request, response, body);
    }
    return inSession(sessions, await sessionFor(request, body, principal), exchange, body);
  };

  const sessionFor = async (request: IncomingMessage, body: unknown, principal: Principal): Promise<Session> => {
    const id = request.headers['mcp-session-id'];
    if (typeof id === 'string') return sessions.get(id, principal);
    if (isInitializeRequest(body)) return sessions.begin(principal, () => serverFor(parts, principal));
    if (request.method !== 'POST' && request.headers['mcp-protocol-version'] === modernVersion)
      throw wrongMethod(['POST']);
    throw new WeaverError('bad_input', 'The request names no session.', {
      hint: 'Initialize first, and send its mcp-session-id.',
    });
  };

  return {
    route: {
      path: '/mcp',
      methods: ['GET', 'POST', 'DELETE'],
      handle: (exchange, principal) => serve(exchange, principal).catch((error) => refuse(exchange.response, error)),
    },
    tenants: () => new Set([...modern.keys(), ...[...sessions.all()].map(({ principal }) => principal.tenant)]),
    async close() {
      stopListening();
      announce.cancel();
      await Promise.allSettled([sessions.close(), ...[...modern.values()].map((handler) => handler.close())]);
    },
  };
}

/** The view of one principal, who is shown only what it may use. */
function serverFor(parts: Parts, principal: Principal) {
  const { listing } = parts;
  const page: Parts['listing']['page'] = (tenant, cursor) => listing.page(tenant, cursor, principal);
  return createMcpServer({ ...parts, listing: { ...listing, page } }, principal);
}

function createModern(parts: Parts, most: number): McpHttpHandler {
  return createMcpHandler(
    ({ authInfo }) => serverFor(parts, (authInfo as NonNullable<Signed['auth']>).extra.principal),
    { legacy: 'reject', maxSubscriptions: most, onerror: (error) => parts.log.debug({ error }, 'http') },
  );
}

// How the SDK hands the principal on to the server that it makes for one request. The token itself stays here.
function sign(request: Signed, principal: Principal): void {
  request.auth = { token: '', clientId: principal.id, scopes: [...principal.scopes], extra: { principal } };
}

// The SDK decides by MCP's own headers and the body, which it is given as it was read.
async function isOfSessions({ method, headers }: IncomingMessage, body: unknown): Promise<boolean> {
  if (method !== 'POST') return true;
  const own = Object.entries(headers).filter(([name]) => name.startsWith('mcp-')) as [string, string][];
  return isLegacyRequest(new Request('http://localhost/mcp', { method, headers: own }), body);
}

const isStream = ({ method }: IncomingMessage, body: unknown): boolean =>
  method === 'GET' || (isRecord(body) && body.method === 'subscriptions/listen');

async function inSession(sessions: Sessions, session: Session, exchange: Exchange, body: unknown): Promise<void> {
  const { request, response, signal } = exchange;
  const leave = () => sessions.leave(session);
  sessions.enter(session);
  // Gone already: nothing would tell us of it any more.
  if (signal.aborted) return leave();
  response.once('close', leave);
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
  setRefusalHeaders(response, error);
  sendJson(response, statusOf(error), {
    jsonrpc: '2.0',
    id: null,
    error: { code: rpcCode(error), message: `${error.message} ${error.hint ?? ''}`.trim() },
  });
}

function rpcCode(error: WeaverError): number {
  if (error.details?.reason === 'json') return parseError;
  const status = statusOf(error);
  return status === 404 ? sessionNotFound : status === 400 ? invalidRequest : serverError;
}
