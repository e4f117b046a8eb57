import { setTimeout as sleep } from 'node:timers/promises';
import {
  bin,
  connect,
  connectHttp,
  draft,
  echoServer,
  input1k,
  load,
  percentile,
  residentMb,
  save,
  startHttp,
  table,
  temporaryHome,
} from './lib.mjs';

const inFlightStdio = [1, 8, 32];
const inFlightHttp = [1, 8, 32, 128];
const loadSeconds = Number(process.env.BENCH_LOAD_SECONDS ?? 60);

/** A skill call over MCP beside a bare SDK echo server: target ≤ 2 × its latency or + 0.5 ms, > 1,000 calls/s. */
export async function run() {
  const weaver = await connect([bin, 'serve'], { TOOLWEAVER_HOME: temporaryHome() });
  const echo = await connect([echoServer]);
  await compare('stdio', weaver.client, echo.client, inFlightStdio);
  await weaver.client.close();
  await echo.client.close();
}

/** The same over HTTP, then a minute at full load with the memory of the server. */
export async function runHttp() {
  const weaver = await startHttp([bin, 'serve', '--http', '127.0.0.1:0', '--json'], {
    TOOLWEAVER_HOME: temporaryHome(),
  });
  const echo = await startHttp([echoServer, '--http'], {});
  for (const mode of ['legacy', 'auto']) {
    const [ours, bare] = [await connectHttp(weaver, mode), await connectHttp(echo, mode)];
    await compare(mode === 'legacy' ? 'HTTP, 2025-11-25' : 'HTTP, 2026-07-28', ours, bare, inFlightHttp);
    await ours.close();
    await bare.close();
  }
  await steady(weaver);
  weaver.stop();
  echo.stop();
}

async function compare(where, weaver, echo, counts) {
  await save(weaver, draft('add_items'));
  const skill = () => weaver.callTool({ name: 'add_items', arguments: input1k });
  const bare = () => echo.callTool({ name: 'echo', arguments: input1k });
  await load(500, 4, bare);
  await load(500, 4, skill);
  const rows = [];
  for (const inFlight of counts) {
    // In turns, so that a slow moment of the machine hits both.
    const [a, b] = [await load(2_000, inFlight, bare), await load(2_000, inFlight, skill)];
    rows.push([
      'echo server',
      inFlight,
      percentile(a.samples, 0.5),
      percentile(a.samples, 0.95),
      Math.round(a.perSecond),
    ]);
    rows.push(['skill', inFlight, percentile(b.samples, 0.5), percentile(b.samples, 0.95), Math.round(b.perSecond)]);
  }
  process.stdout.write(`${where}\n\n`);
  table(['what', 'in flight', 'p50 ms', 'p95 ms', 'calls/s'], rows);
  process.stdout.write('\n');
}

/** Full load for a minute: the server's memory every few seconds, and the slope of its second half. */
async function steady(server) {
  const client = await connectHttp(server, 'auto');
  const samples = [];
  const endAt = performance.now() + loadSeconds * 1_000;
  const startedAt = performance.now();
  let calls = 0;
  const workers = Array.from({ length: 16 }, async () => {
    while (performance.now() < endAt) {
      await client.callTool({ name: 'add_items', arguments: input1k });
      calls++;
    }
  });
  while (performance.now() < endAt) {
    await sleep((loadSeconds * 1_000) / 20);
    samples.push({ seconds: (performance.now() - startedAt) / 1_000, mb: residentMb(server.pid) });
  }
  await Promise.all(workers);
  await client.close();
  const late = samples.slice(samples.length / 2);
  table(
    ['full load', 'calls/s', 'MB at start', 'MB at end', 'slope of the second half, MB/min'],
    [
      [
        `${loadSeconds} s, 16 in flight`,
        Math.round(calls / loadSeconds),
        samples[0]?.mb,
        samples.at(-1)?.mb,
        slope(late) * 60,
      ],
    ],
  );
}

/** Least squares. */
function slope(samples) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [mean(samples.map((s) => s.seconds)), mean(samples.map((s) => s.mb))];
  const over = samples.reduce((sum, s) => sum + (s.seconds - x) * (s.mb - y), 0);
  return over / samples.reduce((sum, s) => sum + (s.seconds - x) ** 2, 0);
}
