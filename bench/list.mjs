import { fill } from './fill.mjs';
import { bin, connect, echoServer, percentile, table, temporaryHome } from './lib.mjs';

/** A page of tools/list at 10,000 skills: target < 5 ms. */
export async function run() {
  const home = temporaryHome();
  await fill(home, 10_000);
  const weaver = await connect([bin, 'serve'], { TOOLWEAVER_HOME: home });
  const echo = await connect([echoServer]);
  const first = await pages(weaver.client);
  const again = await pages(weaver.client);
  const bare = [];
  for (let i = 0; i < 50; i++) bare.push((await pages(echo.client)).samples[0]);
  table(
    ['what', 'pages', 'tools', 'p50 ms a page', 'p95 ms a page'],
    [
      ['bare SDK echo server, 1 tool', 1, 1, percentile(bare, 0.5), percentile(bare, 0.95)],
      [
        'toolweaver, first time',
        first.samples.length,
        first.tools,
        percentile(first.samples, 0.5),
        percentile(first.samples, 0.95),
      ],
      [
        'toolweaver, again',
        again.samples.length,
        again.tools,
        percentile(again.samples, 0.5),
        percentile(again.samples, 0.95),
      ],
    ],
  );
  await weaver.client.close();
  await echo.client.close();
}

async function pages(client) {
  const samples = [];
  let tools = 0;
  let cursor;
  do {
    const at = performance.now();
    const page = await client.request({ method: 'tools/list', params: cursor ? { cursor } : {} });
    samples.push(performance.now() - at);
    tools += page.tools.length;
    cursor = page.nextCursor;
  } while (cursor);
  return { samples, tools };
}
