import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

/** The folder of PostgreSQL's programs; undefined where there is none. */
const programs = findPrograms();

/** Titles end with it: why a test over PostgreSQL is skipped. */
export const needsPostgres = programs === undefined ? ' (initdb is missing)' : '';

/** A PostgreSQL of its own in a temporary folder, which it promises to keep nothing in after `close`. */
export interface PostgresServer {
  readonly port: number;
  /** Where its socket is. */
  readonly folder: string;
  /** Of a database on it, over loopback. */
  address(database: string): string;
  /** Makes an empty database and gives its address. */
  createDatabase(): Promise<string>;
  /** Runs statements as its owner, each in a transaction of its own. */
  run(database: string, ...statements: string[]): Promise<unknown[]>;
  start(): Promise<void>;
  /** `fast` breaks every connection, `immediate` does not even say so. */
  stop(how: 'fast' | 'immediate'): Promise<void>;
  close(): Promise<void>;
}

/** Starts a PostgreSQL that does not care for power cuts. It refuses to run as root, so it is given another user there. */
export async function startPostgres(settings: Readonly<Record<string, string>> = {}): Promise<PostgresServer> {
  const folder = mkdtempSync(join(tmpdir(), 'toolweaver-postgres-'));
  const user = process.getuid?.() === 0 ? 'nobody' : undefined;
  if (user) chownSync(folder, idOf('-u', user), idOf('-g', user));
  const data = join(folder, 'data');
  const program = (name: string): string => join(programs ?? '', name);
  const as = (words: string[]): string[] => (user ? ['runuser', '-u', user, '--', ...words] : words);
  const runAs = (words: string[]): void => {
    const [first = '', ...rest] = as(words);
    execFileSync(first, rest, { cwd: folder, stdio: 'ignore' });
  };
  runAs([program('initdb'), '-D', data, '-U', 'postgres', '-A', 'trust', '-N', '-E', 'UTF8', '--locale=C.UTF-8']);
  const port = await freePort();
  const options = {
    ...{ listen_addresses: '127.0.0.1', unix_socket_directories: folder, port: String(port) },
    ...{ fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off', max_connections: '100' },
    ...settings,
  };
  const address = (database: string): string => `postgres://postgres@127.0.0.1:${port}/${database}`;
  let ended: Promise<unknown> | undefined;
  const run: PostgresServer['run'] = (database, ...statements) => runAt(address(database), statements);
  const start = async (): Promise<void> => {
    const [first = '', ...rest] = as([
      program('postgres'),
      '-D',
      data,
      ...Object.entries(options).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ]);
    const child = spawn(first, rest, { cwd: folder, stdio: 'ignore' });
    ended = new Promise((resolve) => child.once('close', resolve));
    await answering(() => run('postgres', 'select 1'));
  };
  const stop = async (how: string): Promise<void> => {
    if (ended === undefined) return;
    runAs([program('pg_ctl'), 'stop', '-D', data, '-m', how, '-w', '-t', '20']);
    await ended;
    ended = undefined;
  };
  await start();
  return {
    port,
    folder,
    address,
    run,
    start,
    stop,
    createDatabase: () => createDatabase(address('postgres')),
    async close() {
      await stop('immediate');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Makes an empty database on the server of an address, and gives its own address. */
export async function createDatabase(address: string): Promise<string> {
  const url = new URL(address);
  const name = `test_${randomBytes(6).toString('hex')}`;
  await runAt(address, [`create database ${name}`]);
  url.pathname = name;
  return url.href;
}

async function runAt(address: string, statements: readonly string[]): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: address });
  await client.connect();
  try {
    let rows: unknown[] = [];
    for (const statement of statements) rows = (await client.query(statement)).rows;
    return rows;
  } finally {
    await client.end();
  }
}

async function answering(ask: () => Promise<unknown>): Promise<void> {
  for (const giveUpAt = Date.now() + 20_000; ; await sleep(50)) {
    try {
      return void (await ask());
    } catch (error) {
      if (Date.now() > giveUpAt) throw error;
    }
  }
}

/** A port that nobody listens on just now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

const idOf = (what: string, user: string): number => Number(execFileSync('id', [what, user], { encoding: 'utf8' }));

function findPrograms(): string | undefined {
  const installed = '/usr/lib/postgresql';
  const versions = existsSync(installed)
    ? readdirSync(installed).map((version) => join(installed, version, 'bin'))
    : [];
  const folders = [...(process.env.PATH ?? '').split(':'), ...versions.sort().reverse()];
  return folders.find((folder) => ['initdb', 'postgres', 'pg_ctl'].every((name) => existsSync(join(folder, name))));
}
