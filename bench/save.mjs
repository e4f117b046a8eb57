import { bin, connect, draft, echoServer, input1k, load, percentile, save, table, temporaryHome } from './lib.mjs';

const saves = 40;

/** A save with two examples: target < 500 ms. The baseline is a bare MCP call with the same input. */
export async function run() {
  const weaver = await connect([bin, 'serve'], { TOOLWEAVER_HOME: temporaryHome() });
  const echo = await connect([echoServer]);
  const examples = [
    { input: { id: 'a', items: [{ k: 'x', v: 2 }] }, output: { id: 'a', n: 1, sum: 2 } },
    { input: input1k, output: { id: 'abc', n: 28, sum: 1134 } },
  ];
  const at = performance.now();
  await save(weaver.client, draft('first_save', { examples }));
  const first = performance.now() - at;
  let n = 0;
  const next = () => draft(`save_${n++}`, { examples });
  const saved = await load(saves, 1, () => save(weaver.client, next()));
  const bare = await load(saves, 1, () => echo.client.callTool({ name: 'echo', arguments: next() }));
  table(
    ['what', 'first ms', 'p50 ms', 'p95 ms'],
    [
      ['bare SDK echo server, same input', '', percentile(bare.samples, 0.5), percentile(bare.samples, 0.95)],
      ['save_skill with two examples', first, percentile(saved.samples, 0.5), percentile(saved.samples, 0.95)],
    ],
  );
  await weaver.client.close();
  await echo.client.close();
}
