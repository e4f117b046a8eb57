import { randomUUID } from 'node:crypto';
import { NodeStreamableHTTPServerTransport } from '@modelcontextprotocol/node';
import type { McpServer } from '@modelcontextprotocol/server';
import type { Principal } from '../contracts.ts';
import { WeaverError } from '../errors.ts';

export const sessionLimits = { count: 5_000, idleMs: 1_800_000 };

/** A 2025-era client's session: its server, and since when nobody used it. */
export interface Session {
  server: McpServer;
  transport: NodeStreamableHTTPServerTransport;
  principal: Principal;
  usedAt: number;
  /** Requests without an answer yet, streams included. */
  open: number;
}

/** The sessions of 2025-era clients: bounded in number and idle time, each bound to its principal. */
export interface Sessions {
  /** Makes a session whose id is known once its client has initialized. @throws WeaverError `busy`. */
  begin(principal: Principal, createServer: () => McpServer): Promise<Session>;
  /** @throws WeaverError `not_found` when it is unknown, forgotten, or somebody else's. */
  get(id: string, principal: Principal): Session;
  all(): Iterable<Session>;
  close(): Promise<void>;
}

/** `now` is in milliseconds since 1970. */
export function createSessions(limits = sessionLimits, now: () => number = Date.now): Sessions {
  const sessions = new Map<string, Session>();
  const end = (id: string, { server }: Session): void => {
    sessions.delete(id);
    // Closing tells its streams; a client that is gone already is no failure.
    server.close().catch(() => {});
  };
  const sweep = (): void => {
    for (const [id, session] of sessions) {
      if (session.open === 0 && now() - session.usedAt > limits.idleMs) end(id, session);
    }
  };
  const timer = setInterval(sweep, Math.min(limits.idleMs, 60_000)).unref();

  const makeRoom = (): void => {
    if (sessions.size < limits.count) return;
    sweep();
    if (sessions.size < limits.count) return;
    // The one that nobody has used for longest gives way; those in use stay.
    const idle = [...sessions]
      .filter(([, session]) => session.open === 0)
      .sort(([, a], [, b]) => a.usedAt - b.usedAt)[0];
    if (idle) return end(...idle);
    throw new WeaverError('busy', `${limits.count} sessions are in use.`, {
      hint: 'Close one, or try again in a moment.',
    });
  };

  return {
    async begin(principal, createServer) {
      makeRoom();
      const server = createServer();
      const transport = new NodeStreamableHTTPServerTransport({
        sessionIdGenerator: () => randomUUID(),
        onsessioninitialized: (id) => void sessions.set(id, session),
        onsessionclosed: (id) => void sessions.delete(id),
      });
      const session: Session = { server, transport, principal, usedAt: now(), open: 0 };
      transport.onclose = () => void sessions.delete(transport.sessionId ?? '');
      await server.connect(transport);
      return session;
    },
    get(id, principal) {
      const session = sessions.get(id);
      if (session?.principal.id !== principal.id || session.principal.tenant !== principal.tenant) {
        throw new WeaverError('not_found', 'There is no such session.', { hint: 'Initialize again.' });
      }
      session.usedAt = now();
      return session;
    },
    all: () => sessions.values(),
    async close() {
      clearInterval(timer);
      await Promise.allSettled([...sessions.values()].map(({ server }) => server.close()));
      sessions.clear();
    },
  };
}
