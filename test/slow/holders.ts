import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { build } from 'esbuild';
import { onTestFinished } from 'vitest';
import { packageRoot } from '../../src/package.ts';
import { atEnd, until } from '../helpers/process.ts';

const program = join(packageRoot, 'dist/holder.mjs');

export async function buildHolder(): Promise<void> {
  const entryPoints = [join(packageRoot, 'test/slow/holder.ts')];
  await build({ entryPoints, outfile: program, bundle: true, packages: 'external', platform: 'node', format: 'esm' });
}

// biome-ignore lint/suspicious/noExplicitAny: what a process says is looked into freely by tests
type Outcome = any;

export interface Holder {
  said(): string;
  call(tool: string, input: object, more?: object): Promise<Outcome>;
  kill(): Promise<unknown>;
}

/** Starts holder.ts on a home. */
export async function startHolder(
  home: string,
  address: string,
  effects: string,
  env: Record<string, string> = {},
): Promise<Holder> {
  const child = spawn(process.execPath, [program, home, address, effects], {
    env: { PATH: process.env.PATH ?? '', HOME: home, ...env },
  });
  atEnd(() => child.kill('SIGKILL'));
  const ended = new Promise((resolve) => child.once('close', resolve));
  child.stdin.on('error', () => {
    // It was killed before it read all.
  });
  const outcomes = new Map<number, Outcome>();
  let [rest, stderr, isReady, nextId] = ['', '', false, 1];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const { ready, id, outcome } of lines.map((line) => JSON.parse(line))) {
      if (ready) isReady = true;
      else outcomes.set(id, outcome);
    }
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  if (!(await until(() => isReady, 20_000))) throw new Error(`A holder did not start: ${stderr}`);
  return {
    said: () => stderr,
    async call(tool, input, more = {}) {
      const id = nextId++;
      child.stdin.write(`${JSON.stringify({ id, tool, input, ...more })}\n`);
      if (!(await until(() => outcomes.has(id), 30_000))) throw new Error(`${tool} was not answered: ${stderr}`);
      return outcomes.get(id);
    },
    kill() {
      child.kill('SIGKILL');
      return ended;
    },
  };
}

/** A server that counts effects by tool and idempotency key. */
export async function countEffects(): Promise<{ url: string; counts: Map<string, number> }> {
  const counts = new Map<string, number>();
  const server = createServer((request, response) => {
    const name = `${request.url?.slice(1)} ${request.headers['idempotency-key']}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
    request.resume();
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, counts };
}
