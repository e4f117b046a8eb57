import {
  Client,
  type ClientOptions,
  InMemoryTransport,
  StreamableHTTPClientTransport,
} from '@modelcontextprotocol/client';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { onTestFinished } from 'vitest';
import { localPerson } from '../../src/access/principals.ts';
import { createToken } from '../../src/access/tokens.ts';
import type { App } from '../../src/app.ts';
import { openHttpServer } from '../../src/cli/http-server.ts';
import type { Principal } from '../../src/contracts.ts';
import { createMcpServer } from '../../src/server/mcp.ts';
import type { McpParts } from '../../src/server/parts.ts';
import { temporaryFolder } from './app.ts';
import type { Era } from './process.ts';

/** What the person at the client does with a question: `content` is what they fill in. */
export type Reply = { action: 'accept'; content: Record<string, unknown> } | { action: 'decline' | 'cancel' };

/** A client's person: replies in order, the last one again and again, and what was asked. */
export interface Dialog {
  reply(params: Record<string, unknown>): Promise<Reply> | Reply;
}

export interface ClientChoice {
  era: Era;
  /** How it answers questions; a client without it shows no forms. */
  reply?: Dialog['reply'];
  options?: ClientOptions;
}

/** The official client at exactly one protocol version. */
export function createClient({ era, reply, options = {} }: ClientChoice): Client {
  const pinned: ClientOptions =
    era === '2026-07-28' ? { versionNegotiation: { mode: { pin: era } } } : { supportedProtocolVersions: [era] };
  const capabilities = reply ? { elicitation: {} } : {};
  const client = new Client({ name: 'test', version: '1.0.0' }, { ...pinned, capabilities, ...options });
  if (reply) {
    client.setRequestHandler('elicitation/create', async ({ params }) => {
      const { action, ...rest } = await reply(params as Record<string, unknown>);
      return { action, ...(rest as { content?: Record<string, string> }) };
    });
  }
  onTestFinished(() => client.close());
  return client;
}

/** A client of this ToolWeaver within this process, as that principal. */
export async function connectInMemory(parts: McpParts, principal: Principal, choice: ClientChoice): Promise<Client> {
  const [clientSide, serverSide] = InMemoryTransport.createLinkedPair();
  const handle = serveStdio(() => createMcpServer(parts, principal), { transport: serverSide });
  onTestFinished(() => handle.close());
  const client = createClient(choice);
  await client.connect(clientSide);
  return client;
}

/** A client of this ToolWeaver over HTTP on a free port, as `agent:NAME` or `person:NAME`. */
export async function connectOverHttp(
  app: App & McpTimes,
  { name, kind = 'agent' }: { name: string; kind?: 'agent' | 'person' },
  choice: ClientChoice,
): Promise<Client> {
  const server = await serveHttp(app);
  const token = await tokenFor(app, name, kind);
  const client = createClient(choice);
  const headers = { authorization: `Bearer ${token}` };
  await client.connect(new StreamableHTTPClientTransport(new URL(`${server}/mcp`), { requestInit: { headers } }));
  return client;
}

type McpTimes = Pick<McpParts, 'backgroundAfterMs' | 'silenceMs'>;

/** Serves this ToolWeaver over HTTP on a free port until the test ends. */
export async function serveHttp(app: App & McpTimes): Promise<string> {
  const config = { ...app.config, httpAddress: '127.0.0.1:0', auth: 'token' as const, home: temporaryFolder() };
  const server = await openHttpServer({ ...app, config }, { graceMs: 100 });
  onTestFinished(() => server.close());
  return server.url;
}

/** A token for `agent:NAME` or `person:NAME`. */
export async function tokenFor(app: App, name: string, kind: 'agent' | 'person'): Promise<string> {
  const request = { name, kind, roles: [kind === 'agent' ? 'author' : 'reviewer'] };
  return (await createToken(app.database, localPerson(), request, Date.now())).token;
}
