import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { input1k, load, loadSource, percentile, table } from './lib.mjs';

const echo =
  "require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => { const { id, input } = JSON.parse(line); process.stdout.write(JSON.stringify({ id, input }) + '\\n'); });";
const sum =
  'export default function run(input) { let sum = 0; for (const item of input.items) sum += item.v; return { id: input.id, sum }; }';
const pythonSum =
  'def run(input, ctx):\n    return {"id": input["id"], "sum": sum(item["v"] for item in input["items"])}\n';
const pythonNested = 'def run(input, ctx):\n    return ctx.call("echo", input)\n';
const nested = "export default async function run(input, ctx) { return ctx.call('echo', input); }";

/** A call in the sandbox, warm, fresh state each: target < 1 ms p50, > 5,000 calls/s with two threads. */
export async function run() {
  const { openQuickJs } = await loadSource('src/sandbox/quickjs.ts');
  const { defaultLimits } = await loadSource('src/sandbox/sandbox.ts');
  const sandbox = openQuickJs({ threads: 2 });
  const call = caller(sandbox, defaultLimits);
  const python = await openPythonIfThere();
  const callPython = python && caller(python, defaultLimits);
  const at = performance.now();
  await call(sum);
  const cold = performance.now() - at;
  const child = startEcho();
  const rows = [];
  for (const [what, work] of [
    ['bare child process that echoes', () => child.ask(input1k)],
    ['sandbox, 1 KB in', () => call(sum)],
    ['sandbox, one nested call', () => call(nested)],
    ...(callPython
      ? [
          ['python in bubblewrap, 1 KB in', () => callPython(pythonSum)],
          ['python, one nested call', () => callPython(pythonNested)],
        ]
      : []),
  ]) {
    await load(1_000, 8, work);
    for (const inFlight of [1, 8]) {
      const { samples, perSecond } = await load(6_000, inFlight, work);
      rows.push([what, inFlight, percentile(samples, 0.5), percentile(samples, 0.99), Math.round(perSecond)]);
    }
  }
  table(['what', 'in flight', 'p50 ms', 'p99 ms', 'calls/s'], rows);
  process.stdout.write(
    `\nfirst call, process included: ${cold.toFixed(0)} ms; resident memory of its child: ${childMb()} MB\n`,
  );
  child.end();
  await sandbox.close();
  await python?.close();
}

async function openPythonIfThere() {
  const { findPython } = await loadSource('src/sandbox/find-python.ts');
  const { openPython } = await loadSource('src/sandbox/python.ts');
  try {
    return openPython(await findPython(undefined));
  } catch (error) {
    process.stdout.write(`${error.message}\n\n`);
    return undefined;
  }
}

function caller(sandbox, limits) {
  const signal = new AbortController().signal;
  const hashes = new Map();
  const hashOf = (text) => {
    if (!hashes.has(text)) hashes.set(text, createHash('sha256').update(text).digest('hex'));
    return hashes.get(text);
  };
  return async (text) => {
    const program = { hash: hashOf(text), text };
    const callTool = async (_name, input) => input;
    const result = await sandbox.run({
      id: 'bench',
      program,
      input: input1k,
      limits,
      now: 0,
      seed: 1,
      callTool,
      signal,
    });
    if (!result.ok) throw result.error;
  };
}

function startEcho() {
  const child = spawn(process.execPath, ['-e', echo], { stdio: ['pipe', 'pipe', 'inherit'] });
  const waiting = new Map();
  let next = 1;
  createInterface({ input: child.stdout }).on('line', (line) => {
    const { id, input } = JSON.parse(line);
    waiting.get(id)(input);
    waiting.delete(id);
  });
  return {
    ask: (input) =>
      new Promise((resolve) => {
        waiting.set(next, resolve);
        child.stdin.write(`${JSON.stringify({ id: next++, input })}\n`);
      }),
    end: () => child.stdin.end(),
  };
}

/** Resident memory of the largest child of this process (Linux). */
function childMb() {
  try {
    const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ');
    const sizes = children.map((pid) =>
      Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0),
    );
    return Math.round(Math.max(...sizes) / 1024);
  } catch {
    return 'unknown'; // No /proc on this system.
  }
}
