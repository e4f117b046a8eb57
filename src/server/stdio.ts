import { pipeline } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { McpServer } from '@modelcontextprotocol/server';
import { StdioServerTransport, serveStdio as serve } from '@modelcontextprotocol/server/stdio';
import type { Principal } from '../contracts.ts';
import { coalesced, logLook } from './announce.ts';
import { wholeLines } from './lines.ts';
import { createMcpServer } from './mcp.ts';
import type { McpParts } from './parts.ts';

const lookMs = 2_000;
const closeMs = 50;
const maxMessageBytes = 10_000_000;

/** Serves MCP on stdin and stdout until the client closes its end or `signal` fires. */
export async function serveStdio(parts: McpParts, principal: Principal, signal: AbortSignal): Promise<void> {
  const { catalog, source, log } = parts;
  const live = new Set<McpServer>();
  const announce = coalesced(() => {
    // A client that is gone is no failure.
    for (const server of live) Promise.resolve(server.sendToolListChanged()).catch(() => {});
  });
  const stopListening = catalog.onChange(announce.soon);
  // What other processes on this home save is announced too, without waiting for a request.
  const look = setInterval(() => {
    source.freshen(principal.tenant).catch((error: unknown) => logLook(log, error));
  }, lookMs).unref();
  const lines = wholeLines(maxMessageBytes, () =>
    log.warn({ maxMessageBytes }, 'a message on stdin is too long; it is not read'),
  );
  // A broken stdin ends `lines`, and with it the transport.
  pipeline(process.stdin, lines, () => {});
  const transport = new StdioServerTransport(lines, process.stdout, { maxBufferSize: maxMessageBytes + 1 });
  const handle = serve(
    () => {
      const server = createMcpServer(parts, principal);
      live.add(server);
      server.server.onclose = () => void live.delete(server);
      return server;
    },
    { transport, onerror: (error) => log.warn({ error }, 'stdio') },
  );
  await ended(transport, signal);
  clearInterval(look);
  stopListening();
  announce.cancel();
  // A client that reads nothing any more must not hold us.
  await Promise.race([handle.close(), sleep(closeMs, undefined, { ref: false })]);
  // And with it stdin, which would keep the process alive.
  lines.destroy();
}

/** Resolves when the connection is closed (stdin ended, stdout broke) or the signal has fired. */
function ended(transport: StdioServerTransport, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const serversOwn = transport.onclose;
    transport.onclose = () => {
      serversOwn?.();
      resolve();
    };
    signal.addEventListener('abort', () => resolve(), { once: true });
    if (signal.aborted) resolve();
  });
}
