import { bin, connect, draft, echoServer, input1k, load, percentile, save, table, temporaryHome } from './lib.mjs';

/** A skill call over MCP on stdio beside a bare SDK echo server: target ≤ 2 × its latency or + 0.5 ms, > 1,000 calls/s. */
export async function run() {
  const weaver = await connect([bin, 'serve'], { TOOLWEAVER_HOME: temporaryHome() });
  const echo = await connect([echoServer]);
  await save(weaver.client, draft('add_items'));
  const skill = () => weaver.client.callTool({ name: 'add_items', arguments: input1k });
  const bare = () => echo.client.callTool({ name: 'echo', arguments: input1k });
  await load(500, 4, skill);
  await load(500, 4, bare);
  const rows = [];
  for (const inFlight of [1, 8, 32]) {
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
  table(['what', 'in flight', 'p50 ms', 'p95 ms', 'calls/s'], rows);
  await weaver.client.close();
  await echo.client.close();
}
