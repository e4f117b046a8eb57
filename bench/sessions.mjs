import { setTimeout as sleep } from 'node:timers/promises';
import { bin, residentMb, startHttp, table, temporaryHome } from './lib.mjs';

const count = 2_000;

/** Memory of 2,000 idle sessions of 2025-era clients: target < 100 MB more. */
export async function run() {
  const server = await startHttp([bin, 'serve', '--http', '127.0.0.1:0', '--json'], {
    TOOLWEAVER_HOME: temporaryHome(),
  });
  for (let i = 0; i < 50; i++) await initialize(server);
  await sleep(500);
  const before = residentMb(server.pid);
  const at = performance.now();
  for (let i = 0; i < count; i += 20) await Promise.all(Array.from({ length: 20 }, () => initialize(server)));
  const ms = performance.now() - at;
  await sleep(500);
  const after = residentMb(server.pid);
  table(
    ['sessions', 'MB before', 'MB after', 'MB more', 'ms each'],
    [[count, before, after, after - before, ms / count]],
  );
  server.stop();
}

async function initialize({ mcp, token }) {
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'bench', version: '1' } };
  const response = await fetch(mcp, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params }),
  });
  await response.text();
  if (!response.headers.get('mcp-session-id')) throw new Error(`no session: ${response.status}`);
}
