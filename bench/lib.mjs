import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { build } from 'esbuild';

/** The built command, as a host starts it. */
export const bin = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
export const echoServer = fileURLToPath(new URL('./echo-server.mjs', import.meta.url));

/** The value below which the given share of the sorted samples lies. */
export function percentile(samples, share) {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

/** Prints rows as a Markdown table; numbers to three significant places. */
export function table(head, rows) {
  const cell = (value) => (typeof value === 'number' ? String(Number(value.toPrecision(3))) : String(value));
  const line = (cells) => `| ${cells.map(cell).join(' | ')} |\n`;
  process.stdout.write(line(head) + line(head.map(() => '---')) + rows.map(line).join(''));
}

/** A home of its own that goes when the process ends. */
export function temporaryHome() {
  const home = mkdtempSync(join(tmpdir(), 'toolweaver-bench-'));
  process.on('exit', () => rmSync(home, { recursive: true, force: true }));
  return home;
}

/** A client of a server that it starts over stdio. */
export async function connect(args, env = {}) {
  const client = new Client({ name: 'bench', version: '1.0.0' }, {});
  const transport = new StdioClientTransport({
    command: process.execPath,
    args,
    env: { PATH: process.env.PATH, ...env },
    stderr: 'inherit',
  });
  await client.connect(transport);
  return { client, pid: transport.pid };
}

/** A server that it starts over HTTP; its first line of output is JSON with its address. */
export async function startHttp(args, env) {
  const child = spawn(process.execPath, args, {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const line = await new Promise((resolve) => child.stdout.once('data', (data) => resolve(String(data))));
  const { mcp, token_file } = JSON.parse(line);
  const token = token_file ? readFileSync(token_file, 'utf8').trim() : 'none';
  return { mcp, token, pid: child.pid, stop: () => child.kill('SIGTERM') };
}

/** A client of that server; `mode` is legacy (2025-11-25) or auto (2026-07-28). */
export async function connectHttp({ mcp, token }, mode) {
  const client = new Client({ name: 'bench', version: '1.0.0' }, { versionNegotiation: { mode } });
  const headers = { authorization: `Bearer ${token}` };
  await client.connect(new StreamableHTTPClientTransport(new URL(mcp), { requestInit: { headers } }));
  return client;
}

/** Resident memory of a process (Linux). */
export function residentMb(pid) {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
}

/** Saves a skill, or throws what the server answered. */
export async function save(client, draft) {
  const result = await client.callTool({ name: 'save_skill', arguments: draft });
  if (result.isError) throw new Error(result.content[0].text);
  return result.structuredContent;
}

/** A small skill with one example. */
export const draft = (name, more = {}) => ({
  name,
  description: `Adds up the values of a list of items, number ${name}.`,
  code: 'export default function run(input) { let sum = 0; for (const item of input.items) sum += item.v; return { id: input.id, n: input.items.length, sum }; }',
  input_schema: {
    type: 'object',
    properties: {
      id: { type: 'string' },
      note: { type: 'string' },
      items: { type: 'array', items: { type: 'object', properties: { k: { type: 'string' }, v: { type: 'number' } } } },
    },
    required: ['id', 'items'],
  },
  output_schema: {
    type: 'object',
    properties: { id: { type: 'string' }, n: { type: 'integer' }, sum: { type: 'number' } },
    required: ['id', 'n', 'sum'],
  },
  examples: [{ input: { id: 'a', items: [{ k: 'x', v: 2 }] }, output: { id: 'a', n: 1, sum: 2 } }],
  ...more,
});

/** About 1 KB of input. */
export const input1k = {
  id: 'abc',
  note: 'n'.repeat(300),
  items: Array.from({ length: 28 }, (_, i) => ({ k: `item-${i}`, v: i * 3 })),
};

/** Runs `work` `count` times with so many in flight, and gives each one's milliseconds and the total rate. */
export async function load(count, inFlight, work) {
  const samples = [];
  let started = 0;
  const begin = performance.now();
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      while (started < count) {
        started++;
        const at = performance.now();
        await work();
        samples.push(performance.now() - at);
      }
    }),
  );
  return { samples, perSecond: count / ((performance.now() - begin) / 1000) };
}

/** A part of the sources, bundled, for what no command shows. */
export async function loadSource(path) {
  const absWorkingDir = fileURLToPath(new URL('..', import.meta.url));
  const outfile = join(absWorkingDir, 'node_modules/.cache/toolweaver-bench', `${path.replaceAll(/\W/g, '-')}.mjs`);
  const banner = { js: "import { createRequire as cr } from 'node:module'; const require = cr(import.meta.url);" };
  const common = { bundle: true, format: 'esm', platform: 'node', external: ['better-sqlite3'], banner };
  await build({ ...common, absWorkingDir, entryPoints: [path], outfile });
  return import(pathToFileURL(outfile).href);
}
