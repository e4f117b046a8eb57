import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Principal } from '../contracts.ts';
import { toWeaverError, WeaverError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Authenticate } from './auth.ts';
import { checkGate, type GateRules, isListedOrigin } from './gate.ts';
import { sendProblem } from './problem.ts';

/** One request and the answer to it. */
export interface Exchange {
  request: IncomingMessage;
  response: ServerResponse;
  url: URL;
  /** Fires when the client is gone before the answer is whole. */
  signal: AbortSignal;
}

/** Something that is served under a path; with a `/` at its end, under all that begin with it. */
export type Route =
  | { path: string; isOpen: true; handle(exchange: Exchange): Promise<void> }
  | { path: string; isOpen?: false; handle(exchange: Exchange, principal: Principal): Promise<void> };

export interface ListenerOptions {
  host: string;
  port: number;
  gate: Omit<GateRules, 'boundHost'>;
  authenticate: Authenticate;
  /** What a 401 and a 403 say in WWW-Authenticate (RFC 6750, section 3). */
  challenge(error: WeaverError): string;
  routes: readonly Route[];
  log: Log;
}

export interface Listener {
  /** `http://127.0.0.1:7077` */
  url: string;
  /** Takes no more requests; ends what is under way when `graceMs` are over. */
  close(graceMs: number): Promise<void>;
}

const limits = {
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  maxHeaderSize: 16_384,
  connectionsCheckingInterval: 1_000,
};

/**
 * The one HTTP listener: every request passes Host and Origin, then finds its route, then is signed in.
 * @throws WeaverError `not_supported` when the address cannot be listened on.
 */
export async function openListener(options: ListenerOptions): Promise<Listener> {
  const server = createServer({ ...limits, keepAliveTimeout: 65_000 }, (request, response) => {
    // A rejection that nobody hears would end the process.
    serve(options, request, response).catch((error: unknown) => fail(options, response, error));
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (socket.writable) socket.end(`HTTP/1.1 ${clientErrorStatus(error)}\r\nconnection: close\r\n\r\n`);
  });
  await listen(server, options);
  const { port } = server.address() as AddressInfo;
  const shown = options.host.includes(':') ? `[${options.host}]` : options.host;
  return { url: `http://${shown}:${port}`, close: (graceMs) => close(server, graceMs) };
}

async function serve(options: ListenerOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { host, origin } = request.headers;
  const rules = { ...options.gate, boundHost: options.host };
  checkGate({ host, origin }, rules);
  if (origin !== undefined && isListedOrigin(origin, rules)) allowReading(response, origin);
  if (request.method === 'OPTIONS') return preflight(request, response);
  const url = new URL(request.url ?? '/', 'http://localhost');
  const route = options.routes.find(
    ({ path }) => url.pathname === path || (path.endsWith('/') && url.pathname.startsWith(path)),
  );
  if (!route)
    throw new WeaverError('not_found', `Nothing is served at ${url.pathname.slice(0, 200)}.`, {
      hint: 'MCP is at /mcp.',
    });
  const exchange = { request, response, url, signal: goneSignal(response) };
  if (route.isOpen) return route.handle(exchange);
  return route.handle(exchange, await options.authenticate(request));
}

function goneSignal(response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) controller.abort();
  });
  return controller.signal;
}

function fail({ challenge, log }: ListenerOptions, response: ServerResponse, thrown: unknown): void {
  const error = toWeaverError(thrown);
  if (error.code === 'internal') log.error({ error: error.cause }, 'an HTTP request failed unforeseen');
  const isAboutWho =
    error.code === 'not_signed_in' || (error.code === 'not_allowed' && error.details?.scopes !== undefined);
  if (isAboutWho && !response.headersSent) response.setHeader('www-authenticate', challenge(error));
  // What was not read of the body would be taken for the next request.
  if (!response.headersSent && !response.req.complete) response.setHeader('connection', 'close');
  sendProblem(response, error);
}

const exposed = 'mcp-session-id, mcp-protocol-version, www-authenticate, location';
const allowedHeaders =
  'authorization, content-type, accept, idempotency-key, last-event-id, mcp-session-id, mcp-protocol-version, mcp-method, mcp-name';

function allowReading(response: ServerResponse, origin: string): void {
  response.setHeader('access-control-allow-origin', origin);
  response.setHeader('access-control-expose-headers', exposed);
  response.setHeader('vary', 'origin');
}

function preflight(request: IncomingMessage, response: ServerResponse): void {
  const isAllowed =
    response.hasHeader('access-control-allow-origin') && request.headers['access-control-request-method'];
  const headers = {
    'access-control-allow-methods': 'GET, POST, DELETE',
    'access-control-allow-headers': allowedHeaders,
  };
  response.writeHead(204, isAllowed ? { ...headers, 'access-control-max-age': '600' } : {}).end();
}

function clientErrorStatus({ code }: NodeJS.ErrnoException): string {
  if (code === 'HPE_HEADER_OVERFLOW') return '431 Request Header Fields Too Large';
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' ? '408 Request Timeout' : '400 Bad Request';
}

function listen(server: Server, { host, port }: ListenerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const why = cause.code === 'EADDRINUSE' ? 'another program listens there' : cause.message;
      const hint = 'Choose another address: toolweaver serve --http 127.0.0.1:7078 (port 0 takes a free one).';
      reject(new WeaverError('not_supported', `${host}:${port} cannot be listened on: ${why}.`, { hint, cause }));
    });
    server.listen(port, host.replace(/^\[|\]$/g, ''), resolve);
  });
}

async function close(server: Server, graceMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), graceMs);
  await closed;
  clearTimeout(timer);
}
