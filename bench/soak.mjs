// An hour of mixed load (BENCH_SOAK_SECONDS) at a steady rate (BENCH_SOAK_RATE calls a second), through a stdio and an
// HTTP server on one home. Not in the usual run of all benches.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  bin,
  connect,
  connectHttp,
  draft,
  input1k,
  percentile,
  residentMb,
  save,
  startHttp,
  table,
  temporaryHome,
} from './lib.mjs';

const seconds = Number(process.env.BENCH_SOAK_SECONDS ?? 3_600);
const perSecond = Number(process.env.BENCH_SOAK_RATE ?? 40);
const pictureFile = process.env.BENCH_SOAK_SVG;
const rows = 20;
const skills = 20;

export async function run() {
  const home = temporaryHome();
  const stdio = await connect([bin, 'serve'], { TOOLWEAVER_HOME: home });
  const http = await startHttp([bin, 'serve', '--http', '127.0.0.1:0', '--json'], { TOOLWEAVER_HOME: home });
  const clients = [stdio.client, await connectHttp(http, 'auto'), await connectHttp(http, 'legacy')];
  await fillLibrary(clients[0]);
  const samples = await mixedLoad(clients, [stdio.pid, http.pid]);
  for (const client of clients) await client.close();
  http.stop();
  print(samples);
  if (pictureFile) writeFileSync(pictureFile, picture(samples));
}

async function fillLibrary(client) {
  for (let i = 0; i < skills; i++) await save(client, draft(`soak_${i}`));
  const code =
    'export default async (input, ctx) => (await ctx.tools.soak_0(input)).sum + (await ctx.tools.soak_1(input)).sum;';
  await save(client, draft('soak_nested', { code, output_schema: undefined, examples: [], ...nestedExample }));
}
const nestedExample = { examples: [{ input: { id: 'a', items: [{ k: 'x', v: 2 }] }, output: 4 }] };

/** What clients do, and how often of a hundred. A failed call of its own kind is part of the load. */
const kinds = [
  [60, 'call', (n) => ({ name: `soak_${n % skills}`, arguments: input1k })],
  [10, 'nested call', () => ({ name: 'soak_nested', arguments: input1k })],
  [10, 'search', (n) => ({ name: 'search_tools', arguments: { queries: [`add up values of items ${n % 7}`] } })],
  [5, 'describe', (n) => ({ name: 'describe_tool', arguments: { name: `soak_${n % skills}` } })],
  [5, 'wrong input', (n) => ({ name: `soak_${n % skills}`, arguments: { id: n } })],
  [4, 'save', (n) => ({ name: 'save_skill', arguments: newVersion(n) })],
  [6, 'list', undefined],
];

// Another description is a patch; some code differs too, so that programs come and go in the sandbox.
const newVersion = (n) =>
  draft(`soak_${n % skills}`, {
    description: `Adds up the values of a list of items, written anew ${n} times.`,
    code: `${draft('').code}\n// ${n}`,
  });

async function mixedLoad(clients, pids) {
  const samples = [];
  const startedAt = performance.now();
  const elapsed = () => (performance.now() - startedAt) / 1_000;
  let window = { calls: [], saves: [], unexpected: 0 };
  let count = 0;
  const one = async () => {
    const n = count++;
    const [, kind, request] = pick((n * 37) % 100);
    const client = clients[n % clients.length];
    const at = performance.now();
    const result = request ? await client.callTool(request(n)) : await client.listTools({}, { cacheMode: 'reload' });
    if (kind === 'call') window.calls.push(performance.now() - at);
    if (kind === 'save') window.saves.push(performance.now() - at);
    if (Boolean(result.isError) !== (kind === 'wrong input')) window.unexpected++;
  };
  const open = new Set();
  for (let nextSample = seconds / rows; elapsed() < seconds; ) {
    // What is late is made up for, but never more than a few at once.
    while (count < elapsed() * perSecond && open.size < 32) {
      const work = one()
        .catch(() => window.unexpected++)
        .finally(() => open.delete(work));
      open.add(work);
    }
    await sleep(5);
    if (elapsed() < nextSample) continue;
    nextSample += seconds / rows;
    samples.push({ minutes: elapsed() / 60, count, ...stateOf(pids), ...timesOf(window) });
    window = { calls: [], saves: [], unexpected: 0 };
  }
  await Promise.all(open);
  return samples;
}

function pick(share) {
  let sum = 0;
  return kinds.find(([part]) => {
    sum += part;
    return share < sum;
  });
}

const timesOf = ({ calls, saves, unexpected }) => ({
  p50: percentile(calls, 0.5) ?? 0,
  p95: percentile(calls, 0.95) ?? 0,
  p99: percentile(calls, 0.99) ?? 0,
  save: percentile(saves, 0.5) ?? 0,
  unexpected,
});

/** Of both servers and all that they started (Linux). */
function stateOf(pids) {
  const children = pids.flatMap((pid) => childrenOf(pid));
  const files = (pid) => readdirSync(`/proc/${pid}/fd`).length;
  return {
    serverMb: pids.reduce((sum, pid) => sum + residentMb(pid), 0),
    childMb: children.reduce((sum, pid) => sum + residentMb(pid), 0),
    files: pids.reduce((sum, pid) => sum + files(pid), 0),
    children: children.length,
  };
}

const childrenOf = (pid) =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);

function print(samples) {
  const head = [
    'minute',
    'calls so far',
    'servers MB',
    'children MB',
    'files',
    'children',
    'call p50 ms',
    'p95',
    'p99',
    'save p50',
    'unexpected',
  ];
  table(
    head,
    samples.map((s) => [
      s.minutes,
      String(s.count),
      s.serverMb,
      s.childMb,
      s.files,
      s.children,
      s.p50,
      s.p95,
      s.p99,
      s.save,
      s.unexpected,
    ]),
  );
}

/** Four curves, each on its own scale from zero, over the minutes. */
function picture(samples) {
  const curves = [
    ['memory of both servers, MB', (s) => s.serverMb, '#1f77b4'],
    ['memory of their children, MB', (s) => s.childMb, '#2ca02c'],
    ['open files', (s) => s.files, '#9467bd'],
    ['call p95, ms', (s) => s.p95, '#d62728'],
  ];
  const [width, height, left, top] = [760, 90, 50, 24];
  const last = samples.at(-1)?.minutes ?? 1;
  const parts = curves.map(([title, value, colour], i) => {
    const most = Math.max(...samples.map(value), 1e-9) * 1.1;
    const base = top + i * (height + 34);
    const points = samples.map((s) => {
      const x = left + (s.minutes / last) * (width - left - 10);
      const y = base + height - (value(s) / most) * height;
      return `${x.toFixed(1)},${y.toFixed(1)}`;
    });
    return `<text x="${left}" y="${base - 6}">${title}: ${value(samples[0]).toFixed(1)} at the beginning, ${value(samples.at(-1)).toFixed(1)} at the end</text>
<path d="M${left} ${base}V${base + height}H${width - 10}" fill="none" stroke="#999"/><text x="4" y="${base + 10}">${most.toFixed(0)}</text><text x="4" y="${base + height}">0</text>
<polyline fill="none" stroke="${colour}" stroke-width="2" points="${points.join(' ')}"/>`;
  });
  const total = top + curves.length * (height + 34);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${total}" font-family="sans-serif" font-size="12">
<title>Memory, open files and latency over an hour of mixed load</title>
<rect width="100%" height="100%" fill="#fff"/>
${parts.join('\n')}
<text x="${width - 90}" y="${total - 6}">${last.toFixed(0)} minutes</text>
</svg>
`;
}
