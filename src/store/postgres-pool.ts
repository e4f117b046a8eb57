import { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PostgresPool } from 'kysely';
import type { Pool, PoolClient, PoolConfig } from 'pg';
import { loadOptional } from '../optional.ts';
import { explainPostgres, isBroken, isConflict, isPassing } from './postgres-errors.ts';

const int8 = 20;
const connectMs = 3_000;
const readAgainMs = 2_000;
const closeMs = 2_000;

// Server and client both count: a network that swallows packets ends no statement.
const limits: PoolConfig = {
  max: 10,
  connectionTimeoutMillis: connectMs,
  idleTimeoutMillis: 60_000,
  keepAlive: true,
  statement_timeout: 7_000,
  query_timeout: 8_000,
  idle_in_transaction_session_timeout: 30_000,
  application_name: 'toolweaver',
};

/** Connections of one process to PostgreSQL. What they throw is explained, but for conflicts, which are for `write` to see. */
export interface PostgresConnections {
  /** For transactions. */
  readonly writes: PostgresPool;
  /** For single statements: one whose connection breaks is asked again over another. */
  readonly reads: PostgresPool;
  /** Ends them all, in a bounded time, whatever the server does. */
  close(): Promise<void>;
}

/** `broke` hears of every connection that broke, used or not. */
export async function openConnections(
  address: string,
  place: string,
  broke: (error: unknown) => void,
): Promise<PostgresConnections> {
  const { default: pg } = await loadOptional('pg', 'PostgreSQL', () => import('pg'));
  // Counts and times are below 2^53; as text they would break every comparison.
  const getTypeParser = ((oid: number, format?: 'text' | 'binary') =>
    oid === int8 ? Number : pg.types.getTypeParser(oid, format as 'text')) as typeof pg.types.getTypeParser;
  const sockets = new Set<Socket>();
  const stream = (): Socket => {
    const socket = new Socket();
    sockets.add(socket);
    return socket.once('close', () => sockets.delete(socket));
  };
  const pool = new pg.Pool({ ...limits, connectionString: address, types: { getTypeParser }, stream });
  pool.on('error', broke);
  // The pool listens to idle ones only: an error that comes while one changes hands would end the process.
  pool.on('connect', (client) => void client.on('error', broke));
  const borrow = (): Promise<Client> => connect(pool, place, broke);
  const end = (): Promise<void> => closeAll(pool, sockets);
  let ending: Promise<void> | undefined;
  return {
    writes: poolOf(borrow),
    reads: poolOf(async () => readingAgain(borrow)),
    close: () => (ending ??= end()),
  };
}

// Kysely's type also has cursors, which are not used.
const poolOf = (connect: () => Promise<Client>): PostgresPool =>
  ({ options: {}, connect, end: async () => {} }) as unknown as PostgresPool;

async function closeAll(pool: Pool, sockets: ReadonlySet<Socket>): Promise<void> {
  const ended = pool.end().catch(() => {
    // They are ended by force below.
  });
  await Promise.race([ended, sleep(closeMs, undefined, { ref: false })]);
  // A server that does not answer the goodbye would keep the process alive.
  for (const socket of sockets) socket.destroy();
}

type Query = (text: string, values: readonly unknown[]) => Promise<unknown>;

interface Client {
  query: Query;
  release(): void;
}

async function connect(pool: Pool, place: string, broke: (error: unknown) => void): Promise<Client> {
  let broken: unknown;
  const breaks = (error: unknown): void => {
    broken ??= error;
    broke(error);
  };
  const rethrow = (error: unknown): never => {
    if (isBroken(error)) breaks(error);
    throw isConflict(error) ? error : explainPostgres(error, place);
  };
  const client: PoolClient = await pool.connect().catch(rethrow);
  client.on('error', breaks);
  return {
    async query(text, values) {
      // A statement would wait behind the one that was never answered.
      if (broken !== undefined) throw explainPostgres(broken, place);
      return (client.query as Query)(text, values.map(withoutNul)).catch(rethrow);
    },
    release() {
      client.release(broken !== undefined);
      if (broken === undefined) client.off('error', breaks);
    },
  };
}

// PostgreSQL keeps no NUL in a text. Such a name is then one that nothing has, and such a comment loses nothing to read.
const withoutNul = (value: unknown): unknown =>
  typeof value === 'string' && value.includes('\0') ? value.replaceAll('\0', '\ufffd') : value;

/** Borrows a connection for one statement at a time, and asks again over another when it breaks. */
function readingAgain(borrow: () => Promise<Client>): Client {
  const ask: Query = async (...parameters) => {
    const borrowed = await borrow();
    try {
      return await borrowed.query(...parameters);
    } finally {
      borrowed.release();
    }
  };
  const query: Query = async (...parameters) => {
    const giveUpAt = performance.now() + readAgainMs;
    for (let pauseMs = 10; ; pauseMs *= 2) {
      try {
        return await ask(...parameters);
      } catch (error) {
        const { cause } = error as { cause?: unknown };
        if (!isPassing(cause) || performance.now() + pauseMs > giveUpAt) throw error;
        await sleep(pauseMs);
      }
    }
  };
  return { query, release: () => {} };
}
