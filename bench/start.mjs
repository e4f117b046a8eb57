import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fill } from './fill.mjs';
import { bin, echoServer, percentile, table, temporaryHome } from './lib.mjs';

const runs = 15;

/**
 * From starting the process to the first tools/list: target < 350 ms with 1,000 skills, < 1 s with 10,000; memory at rest
 * with 1,000 < 150 MB.
 */
export async function run() {
  const rows = [];
  for (const skills of [1_000, 10_000]) rows.push(...(await withSkills(skills)));
  table(['what', 'first list p50 ms', 'p95 ms', 'resident MB after it'], rows);
}

async function withSkills(skills) {
  const home = temporaryHome();
  await fill(home, skills);
  const weaver = [];
  const echo = [];
  let memory = 0;
  for (let i = 0; i <= runs; i++) {
    const a = await firstList([echoServer], {});
    const b = await firstList([bin, 'serve'], { TOOLWEAVER_HOME: home });
    // The first of each warms the disk cache and is not counted.
    if (i === 0) continue;
    echo.push(a.ms);
    weaver.push(b.ms);
    memory = Math.max(memory, b.rssMb);
  }
  return [
    ['bare SDK echo server', percentile(echo, 0.5), percentile(echo, 0.95), ''],
    [`toolweaver serve, ${skills} skills`, percentile(weaver, 0.5), percentile(weaver, 0.95), Math.round(memory)],
  ];
}

/** Speaks the few lines of MCP by hand, so that no client library is in the figure. */
async function firstList(args, env) {
  const started = performance.now();
  const child = spawn(process.execPath, args, {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const send = (message) => child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
  const answer = answers(child.stdout);
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'bench', version: '1' } };
  send({ id: 1, method: 'initialize', params });
  await answer(1);
  send({ method: 'notifications/initialized' });
  send({ id: 2, method: 'tools/list', params: {} });
  await answer(2);
  const ms = performance.now() - started;
  await new Promise((resolve) => setTimeout(resolve, 300));
  const rssMb = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
  child.stdin.end();
  await new Promise((resolve) => child.once('exit', resolve));
  return { ms, rssMb };
}

function answers(stream) {
  let text = '';
  const waiting = new Map();
  stream.setEncoding('utf8').on('data', (chunk) => {
    text += chunk;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
      const message = JSON.parse(text.slice(0, end));
      text = text.slice(end + 1);
      waiting.get(message.id)?.(message);
    }
  });
  return (id) => new Promise((resolve) => waiting.set(id, resolve));
}
