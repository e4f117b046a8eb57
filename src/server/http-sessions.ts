import { randomUUID } from 'node:crypto';
import { NodeStreamableHTTPServerTransport } from '@modelcontextprotocol/node';
import type { McpServer } from '@modelcontextprotocol/server';
import type { Principal } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import { isSameJson } from '../json.ts';

export interface SessionLimits {
  count: number;
  idleMs: number;
}

const sessionLimits: SessionLimits = { count: 5_000, idleMs: 1_800_000 };

/** A 2025-era client's session: its server, and since when nobody used it. */
export interface Session {
  id: string;
  server: McpServer;
  transport: NodeStreamableHTTPServerTransport;
  principal: Principal;
  usedAt: number;
  /** Requests without an answer yet, streams included. */
  open: number;
}

/** The sessions of 2025-era clients: bounded in number and idle time, each bound to its principal. */
export interface Sessions {
  /** Makes a session for a client that initializes. @throws WeaverError `busy`. */
  begin(principal: Principal, createServer: () => McpServer): Promise<Session>;
  /** @throws WeaverError `not_found` when it is unknown, forgotten, somebody else's, or of other rights. */
  get(id: string, principal: Principal): Session;
  /** Says that a request is under way in it; every `enter` has its `leave`. */
  enter(session: Session): void;
  leave(session: Session): void;
  all(): Iterable<Session>;
  close(): Promise<void>;
}

/** `now` is in milliseconds, by a clock that never jumps. */
export function createSessions(limits = sessionLimits, now: () => number = () => performance.now()): Sessions {
  const sessions = new Map<string, Session>();
  const isForgotten = ({ open, usedAt }: Session): boolean => open === 0 && now() - usedAt > limits.idleMs;
  const end = ({ id, server }: Session): void => {
    sessions.delete(id);
    // Closing tells its streams; a client that is gone already is no failure.
    server.close().catch(() => {});
  };
  const sweep = (): void => {
    for (const session of sessions.values()) if (isForgotten(session)) end(session);
  };
  const timer = setInterval(sweep, Math.min(limits.idleMs, 60_000)).unref();

  const makeRoom = (): void => {
    if (sessions.size < limits.count) return;
    // The one that nobody has used for longest gives way; those in use stay.
    let idle: Session | undefined;
    for (const session of sessions.values()) {
      if (session.open === 0 && session.usedAt < (idle?.usedAt ?? Number.POSITIVE_INFINITY)) idle = session;
    }
    if (idle) return end(idle);
    throw new WeaverError('busy', `${limits.count} sessions are in use.`, {
      hint: 'Close one, or try again in a moment.',
    });
  };

  return {
    async begin(principal, createServer) {
      makeRoom();
      const id = randomUUID();
      const server = createServer();
      const transport = new NodeStreamableHTTPServerTransport({ sessionIdGenerator: () => id });
      const session: Session = { id, server, transport, principal, usedAt: now(), open: 0 };
      // Counted from here on, so that many that begin at once stay within the limit.
      sessions.set(id, session);
      transport.onclose = () => void sessions.delete(id);
      await server.connect(transport);
      return session;
    },
    get(id, principal) {
      const session = sessions.get(id);
      // Its server acts with the rights that it began with, so a token with other rights needs another session.
      if (session && !isForgotten(session) && isSameJson(session.principal, principal)) return session;
      throw new WeaverError('not_found', 'There is no such session.', { hint: 'Initialize again.' });
    },
    enter(session) {
      session.open++;
      session.usedAt = now();
    },
    leave(session) {
      session.open--;
      session.usedAt = now();
      // One whose client did not initialize it after all.
      if (session.transport.sessionId === undefined) end(session);
    },
    all: () => sessions.values(),
    async close() {
      clearInterval(timer);
      await Promise.allSettled([...sessions.values()].map(({ server }) => server.close()));
      sessions.clear();
    },
  };
}
