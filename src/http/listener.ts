import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Principal } from '../contracts.ts';
import { toWeaverError, WeaverError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Authenticate } from './auth.ts';
import { createGate, type Gate, type GateRules } from './gate.ts';
import { sendProblem, statusOf, wrongMethod } from './problem.ts';

/** One request and the answer to it. */
export interface Exchange {
  request: IncomingMessage;
  response: ServerResponse;
  url: URL;
  /** Fires when the client is gone before the answer is whole. */
  signal: AbortSignal;
  /** Set for an answer that stays open by itself, as a stream of events does: the end of the server does not wait for it. */
  isLasting: boolean;
}

/** Something that is served under a path; with a `/` at its end, under all that begin with it. */
export type Route = { path: string; methods: readonly string[] } & (
  | { isOpen: true; handle(exchange: Exchange): Promise<void> }
  | { isOpen?: false; handle(exchange: Exchange, principal: Principal): Promise<void> }
);

export interface ListenerTimes {
  /** For all headers of a request. */
  headersTimeout: number;
  /** For a whole request. */
  requestTimeout: number;
  connectionsCheckingInterval: number;
}

export interface ListenerOptions {
  host: string;
  port: number;
  gate: Omit<GateRules, 'boundHost'>;
  authenticate: Authenticate;
  /** What a 401 and a 403 say in WWW-Authenticate (RFC 6750, section 3). */
  challenge(error: WeaverError): string;
  routes: readonly Route[];
  log: Log;
  /** In milliseconds. */
  times?: Partial<ListenerTimes> | undefined;
}

export interface Listener {
  /** `http://127.0.0.1:7077` */
  url: string;
  /** Takes no more requests: each is `unavailable`. */
  stop(): void;
  /** Requests without their whole answer yet, but for lasting ones. */
  underWay(): number;
  /** Ends every connection, after a moment for answers that are almost out. */
  close(): Promise<void>;
}

const times: ListenerTimes = { headersTimeout: 10_000, requestTimeout: 30_000, connectionsCheckingInterval: 1_000 };
const maxHeaderSize = 16_384;
const keepAliveTimeout = 65_000;
const lingerMs = 500;

/**
 * The one HTTP listener: every request passes Host and Origin, then finds its route, then is signed in.
 * @throws WeaverError `not_supported` when the address cannot be listened on, `bad_input` for gate rules that fit nothing.
 */
export async function openListener(options: ListenerOptions): Promise<Listener> {
  const gate = createGate({ ...options.gate, boundHost: options.host });
  const open = new Set<Exchange>();
  let isStopped = false;
  const server = createServer({ ...times, ...options.times, maxHeaderSize, keepAliveTimeout }, (request, response) => {
    const exchange = beginExchange(request, response);
    open.add(exchange);
    response.once('close', () => open.delete(exchange));
    if (isStopped) {
      response.setHeader('connection', 'close');
      return fail(options, exchange, stopped());
    }
    // A rejection that nobody hears would end the process.
    serve(options, gate, exchange).catch((error: unknown) => fail(options, exchange, error));
  });
  server.on('clientError', refuseMalformed);
  await listen(server, options);
  // Such as too many open files: those who wait are let in later.
  server.on('error', (error) => options.log.error({ error }, 'the HTTP listener has trouble'));
  const { port } = server.address() as AddressInfo;
  const shown = options.host.includes(':') ? `[${options.host}]` : options.host;
  return {
    url: `http://${shown}:${port}`,
    stop() {
      isStopped = true;
      server.close();
    },
    underWay: () => [...open].filter(({ isLasting }) => !isLasting).length,
    async close() {
      const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
      for (const giveUpAt = performance.now() + lingerMs; open.size > 0 && performance.now() < giveUpAt; )
        await sleep(10);
      server.closeAllConnections();
      await closed;
    },
  };
}

const stopped = (): WeaverError =>
  new WeaverError('unavailable', 'The server is ending.', { hint: 'Try again when it is back.' });

function beginExchange(request: IncomingMessage, response: ServerResponse): Exchange {
  const gone = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) gone.abort();
  });
  return { request, response, url: new URL('http://localhost'), signal: gone.signal, isLasting: false };
}

async function serve(options: ListenerOptions, gate: Gate, exchange: Exchange): Promise<void> {
  const { request, response } = exchange;
  const { host, origin } = request.headers;
  gate.check({ host, origin });
  if (origin !== undefined && gate.isListed(origin)) allowReading(response, origin);
  exchange.url = addressOf(request);
  const route = findRoute(options.routes, exchange.url);
  if (request.method === 'OPTIONS') return preflight(request, response, route);
  if (!route.methods.includes(request.method ?? '')) throw wrongMethod(route.methods);
  if (route.isOpen) return route.handle(exchange);
  return route.handle(exchange, { ...(await options.authenticate(request)), isRemote: true });
}

// Always a path: `//name/mcp` and `http://name/mcp` would otherwise be read as another host with our path.
function addressOf({ url = '' }: IncomingMessage): URL {
  if (url.startsWith('/')) return new URL(`http://localhost${url}`);
  throw new WeaverError('bad_input', 'The request names no path.', { hint: 'Send a path such as /mcp.' });
}

function findRoute(routes: readonly Route[], { pathname }: URL): Route {
  const isHere = ({ path }: Route) => pathname === path || (path.endsWith('/') && pathname.startsWith(path));
  const route = routes.find(isHere);
  if (route) return route;
  throw new WeaverError('not_found', `Nothing is served at ${pathname.slice(0, 200)}.`, {
    hint: 'MCP is at /mcp, the JSON API at /v1/openapi.json.',
  });
}

function fail({ challenge, log }: ListenerOptions, { response }: Exchange, thrown: unknown): void {
  const error = toWeaverError(thrown);
  if (error.code === 'internal') log.error({ error: error.cause }, 'an HTTP request failed unforeseen');
  else if (statusOf(error) >= 500 && error.cause !== undefined) log.warn({ error }, 'an HTTP request failed');
  const isAboutWho =
    error.code === 'not_signed_in' || (error.code === 'not_allowed' && error.details?.scopes !== undefined);
  if (isAboutWho && !response.headersSent) response.setHeader('www-authenticate', challenge(error));
  sendProblem(response, error);
}

const exposed = 'mcp-session-id, mcp-protocol-version, www-authenticate, location, allow';
const allowedHeaders =
  'authorization, content-type, accept, prefer, idempotency-key, last-event-id, mcp-session-id, mcp-protocol-version, mcp-method, mcp-name';

function allowReading(response: ServerResponse, origin: string): void {
  response.setHeader('access-control-allow-origin', origin);
  response.setHeader('access-control-expose-headers', exposed);
  response.setHeader('vary', 'origin');
}

function preflight(request: IncomingMessage, response: ServerResponse, { methods }: Route): void {
  const isAllowed =
    response.hasHeader('access-control-allow-origin') && request.headers['access-control-request-method'];
  const headers = {
    'access-control-allow-methods': methods.join(', '),
    'access-control-allow-headers': allowedHeaders,
    'access-control-max-age': '600',
  };
  response.writeHead(204, { allow: [...methods, 'OPTIONS'].join(', '), ...(isAllowed && headers) }).end();
}

/** Answers what is no HTTP, is too long, or comes too slowly; and ends its connection, whatever the client does. */
function refuseMalformed(error: NodeJS.ErrnoException, socket: Socket & { _httpMessage?: ServerResponse }): void {
  // In the middle of an answer no second one can begin.
  if (!socket.writable || socket._httpMessage?.headersSent) return void socket.destroy();
  socket.end(`HTTP/1.1 ${clientErrorStatus(error)}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
  // Destroyed at once, with bytes unread, the client would see a reset instead of the answer.
  setTimeout(() => socket.destroy(), lingerMs).unref();
}

function clientErrorStatus({ code }: NodeJS.ErrnoException): string {
  if (code === 'HPE_HEADER_OVERFLOW') return '431 Request Header Fields Too Large';
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' ? '408 Request Timeout' : '400 Bad Request';
}

function listen(server: Server, { host, port }: ListenerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (cause: NodeJS.ErrnoException): void => {
      const why = cause.code === 'EADDRINUSE' ? 'another program listens there' : cause.message;
      const hint = 'Choose another address: toolweaver serve --http 127.0.0.1:7078 (port 0 takes a free one).';
      reject(new WeaverError('not_supported', `${host}:${port} cannot be listened on: ${why}.`, { hint, cause }));
    };
    server.once('error', onError);
    server.listen(port, host, () => {
      server.off('error', onError);
      resolve();
    });
  });
}
