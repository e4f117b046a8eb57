import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { freePort } from './postgres.ts';

/** Titles end with it: why a test over Redis is skipped. */
export const needsRedis = spawnSync('redis-server', ['--version']).error ? ' (redis-server is missing)' : '';

/** A Redis of its own, which keeps nothing on a disk. */
export interface RedisServer {
  readonly port: number;
  readonly address: string;
  /** A client of it, as another program has one; closed with the server. */
  client(): Redis;
  start(): Promise<void>;
  /** Ends it at once. */
  kill(): Promise<void>;
  close(): Promise<void>;
}

/** Starts a Redis with these settings, such as `requirepass`. */
export async function startRedis(settings: Readonly<Record<string, string>> = {}): Promise<RedisServer> {
  const folder = mkdtempSync(join(tmpdir(), 'toolweaver-redis-'));
  const port = await freePort();
  const options = { port: String(port), bind: '127.0.0.1', dir: folder, save: '', appendonly: 'no', ...settings };
  const clients: Redis[] = [];
  let ended: Promise<unknown> | undefined;
  let end = (): void => {};
  const start = async (): Promise<void> => {
    const words = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
    const child = spawn('redis-server', words, { cwd: folder, stdio: 'ignore' });
    ended = new Promise((resolve) => child.once('close', resolve));
    end = () => void child.kill('SIGKILL');
    await listening(Number(settings['tls-port'] ?? port));
  };
  const kill = async (): Promise<void> => {
    end();
    await ended;
  };
  await start();
  return {
    port,
    address: `redis://127.0.0.1:${port}`,
    client() {
      const client = new Redis({ port, host: '127.0.0.1', password: settings.requirepass ?? '' });
      client.on('error', () => {
        // It was killed, or is about to come back.
      });
      clients.push(client);
      return client;
    },
    start,
    kill,
    async close() {
      for (const client of clients) client.disconnect();
      await kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Waits until something takes connections there. */
async function listening(port: number): Promise<void> {
  for (const giveUpAt = Date.now() + 10_000; Date.now() < giveUpAt; await sleep(20)) {
    const takes = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (takes) return;
  }
  throw new Error(`Nothing listens on ${port}`);
}
