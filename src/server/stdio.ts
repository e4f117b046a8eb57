import type { McpServer } from '@modelcontextprotocol/server';
import { serveStdio as serve } from '@modelcontextprotocol/server/stdio';
import type { Catalog } from '../catalog/catalog.ts';
import type { Principal } from '../contracts.ts';
import { createMcpServer, type McpParts } from './mcp.ts';

const coalesceMs = 100;
const lookMs = 2_000;

/** Serves MCP on stdin and stdout until the client closes its end or `signal` fires. */
export async function serveStdio(
  parts: McpParts & { catalog: Catalog },
  principal: Principal,
  signal: AbortSignal,
): Promise<void> {
  const { catalog, source, log } = parts;
  const live = new Set<McpServer>();
  let pending: NodeJS.Timeout | undefined;
  const announce = () => {
    pending = undefined;
    // A client that is gone is no failure.
    for (const server of live) Promise.resolve(server.sendToolListChanged()).catch(() => {});
  };
  const stopListening = catalog.onChange(() => {
    pending ??= setTimeout(announce, coalesceMs);
  });
  // What other processes on this home save is announced too, without waiting for a request.
  const look = setInterval(() => {
    source.freshen(principal.tenant).catch((error: unknown) => log.warn({ error }, 'the library could not be read'));
  }, lookMs).unref();
  const handle = serve(
    () => {
      const server = createMcpServer(parts, principal);
      live.add(server);
      server.server.onclose = () => void live.delete(server);
      return server;
    },
    { onerror: (error) => log.warn({ error }, 'stdio') },
  );
  await ended(signal);
  clearInterval(look);
  clearTimeout(pending);
  stopListening();
  await handle.close();
}

/** Resolves when stdin ends, stdout breaks or the signal fires. */
function ended(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    process.stdin.once('end', resolve).once('close', resolve);
    process.stdout.once('error', () => resolve());
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
