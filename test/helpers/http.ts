import { type IncomingHttpHeaders, request } from 'node:http';
import { connect as connectSocket } from 'node:net';
import { Client, type ClientOptions, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { onTestFinished } from 'vitest';
import { localPerson } from '../../src/access/principals.ts';
import { createToken, type TokenRequest } from '../../src/access/tokens.ts';
import { annotationsOf, done, type Tool, type ToolContext } from '../../src/catalog/tool.ts';
import { type HttpServerOptions, openHttpServer } from '../../src/cli/http-server.ts';
import type { SettingName } from '../../src/config.ts';
import type { Outcome } from '../../src/contracts.ts';
import type { Log } from '../../src/log.ts';
import { type TestApp, temporaryFolder, testApp } from './app.ts';

export type HttpEra = '2025-11-25' | '2026-07-28';
export const httpEras: readonly HttpEra[] = ['2025-11-25', '2026-07-28'];

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  /** The body as JSON; undefined when it is none. */
  // biome-ignore lint/suspicious/noExplicitAny: what a server says is looked into freely by tests
  json: any;
}

interface SendOptions {
  method?: string;
  headers?: Record<string, string | string[]>;
  /** Text as it is; anything else as JSON. */
  body?: unknown;
}

export interface HttpApp extends TestApp {
  url: string;
  port: number;
  /** Ends the server; the app behind it stays. */
  stop(): Promise<void>;
  /** A new token; an author's unless the request says otherwise. */
  tokenFor(name: string, request?: Partial<TokenRequest> & { tenant?: string }): Promise<string>;
  /** One request to a path, with a token unless it is undefined. */
  send(path: string, token?: string, options?: SendOptions): Promise<Answer>;
  /** The official client, at exactly one protocol version. */
  client(era: HttpEra, token: string, options?: ClientOptions): Promise<Client>;
}

interface HttpAppOptions extends HttpServerOptions {
  settings?: Partial<Record<SettingName, unknown>>;
  file?: string;
  log?: Log;
}

/** A whole ToolWeaver in this process that listens on a free port of 127.0.0.1. Closed when the test ends. */
export async function httpApp({ settings = {}, file, log, ...options }: HttpAppOptions = {}): Promise<HttpApp> {
  const app = await testApp({
    settings: { home: temporaryFolder(), httpAddress: '127.0.0.1:0', ...settings },
    ...(file !== undefined && { file }),
    ...(log && { log }),
  });
  const server = await openHttpServer(app, { graceMs: 200, ...options });
  let isOpen = true;
  const stop = async () => {
    if (isOpen) await server.close();
    isOpen = false;
  };
  onTestFinished(stop);
  const { url } = server;
  return {
    ...app,
    url,
    port: Number(new URL(url).port),
    stop,
    async tokenFor(name, { tenant, ...more } = {}) {
      const by = { ...localPerson(), ...(tenant !== undefined && { tenant }) };
      const wanted = { name, kind: 'agent' as const, roles: ['author'], ...more };
      return (await createToken(app.database, by, wanted, Date.now())).token;
    },
    send: (path, token, given = {}) => send(url, path, token, given),
    client: (era, token, given) => connectClient(url, era, token, given),
  };
}

/** One request by hand, with exactly the path and headers given. */
export function send(url: string, path: string, token?: string, options: SendOptions = {}): Promise<Answer> {
  const { body, method = body === undefined ? 'GET' : 'POST', headers = {} } = options;
  const text = body === undefined || typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  const { hostname, port } = new URL(url);
  const all = {
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
    ...(text !== undefined && {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text as string),
    }),
    ...headers,
  };
  return new Promise((resolve, reject) => {
    const asked = request({
      hostname: hostname.replace(/^\[|\]$/g, ''),
      port,
      path,
      method,
      headers: all,
      agent: false,
    });
    asked.once('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', reject);
      response.once('end', () => {
        const answer = Buffer.concat(chunks).toString('utf8');
        const { statusCode: status = 0, headers: heard } = response;
        resolve({ status, headers: heard, text: answer, json: parse(answer) });
      });
    });
    asked.once('error', reject);
    asked.end(text);
  });
}

/** Sends these bytes and gives all that comes back until the server ends the connection. */
export function sendBytes(port: number, ...parts: (string | Buffer)[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connectSocket(port, '127.0.0.1');
    let heard = '';
    socket.setEncoding('utf8').on('data', (text: string) => {
      heard += text;
    });
    socket.once('error', (error) => (heard === '' ? reject(error) : resolve(heard)));
    socket.once('close', () => resolve(heard));
    socket.once('connect', () => {
      for (const part of parts) socket.write(part);
    });
    onTestFinished(() => void socket.destroy());
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function connectClient(url: string, era: HttpEra, token: string, options: ClientOptions = {}): Promise<Client> {
  const pinned: ClientOptions =
    era === '2026-07-28' ? { versionNegotiation: { mode: { pin: era } } } : { supportedProtocolVersions: [era] };
  const client = new Client({ name: 'test', version: '1.0.0' }, { ...pinned, ...options });
  const requestInit = { headers: { authorization: `Bearer ${token}` } };
  const transport = new StreamableHTTPClientTransport(new URL(`${url}/mcp`), { requestInit });
  onTestFinished(() => client.close());
  await client.connect(transport);
  return client;
}

/** A JSON-RPC request of the new era, with the headers that it needs. */
export function modernRequest(method: string, params: Record<string, unknown> = {}, id: string | number = 1) {
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': {},
    'io.modelcontextprotocol/clientInfo': { name: 'raw', version: '1.0.0' },
  };
  return {
    headers: {
      ...mcpHeaders,
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': method,
      ...(typeof params.name === 'string' && { 'mcp-name': params.name }),
    } as Record<string, string>,
    body: { jsonrpc: '2.0', id, method, params: { ...params, _meta } },
  };
}

export const mcpHeaders = { accept: 'application/json, text/event-stream' };

/** What a 2025-era client says first. */
export const initialize = {
  headers: mcpHeaders,
  body: {
    jsonrpc: '2.0',
    id: 0,
    method: 'initialize',
    params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'raw', version: '1.0.0' } },
  },
};

/** Puts a tool into the catalog that does what `run` does. */
export function putTool(
  { catalog }: Pick<TestApp, 'catalog'>,
  name: string,
  run: (input: Record<string, unknown>, ctx: ToolContext) => unknown,
  { tenant = 'local', ...fields }: Partial<Tool> & { tenant?: string } = {},
): void {
  catalog.put(tenant, {
    name,
    kind: 'skill',
    title: name,
    description: `Does what ${name} does.`,
    input: { type: 'object' },
    annotations: annotationsOf('none'),
    version: '1.0.0',
    needs: 'call',
    risk: 'none',
    run: async (input, ctx) => {
      const value = await run(input as Record<string, unknown>, ctx);
      return isOutcome(value) ? value : done(value ?? {});
    },
    ...fields,
  });
}

const isOutcome = (value: unknown): value is Outcome =>
  typeof value === 'object' && value !== null && 'status' in value && 'error' in value;

/** A tool that never ends by itself: it says when it began, and when its signal fired. */
export function endlessTool(app: Pick<TestApp, 'catalog'>, name = 'endless') {
  let [begun, stopped] = [0, 0];
  putTool(app, name, (_, { signal }) => {
    begun++;
    return new Promise((_, reject) => {
      signal.addEventListener('abort', () => {
        stopped++;
        reject(signal.reason);
      });
    });
  });
  return { begun: () => begun, stopped: () => stopped };
}
