import { statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { describe, expect, it } from 'vitest';
import { draft } from '../helpers/app.ts';
import { send } from '../helpers/http.ts';
import { type HttpProcess, startHttp } from '../helpers/http-process.ts';
import { atEnd, descendants, makeHome, runCli, startServer, survivors, textOf, until } from '../helpers/process.ts';

const spins = draft({
  name: 'spins',
  code: 'export default (i) => { while (i.x > 0); return { y: i.x }; }',
  examples: [{ input: { x: 0 }, output: { y: 0 } }],
});
// Spins so often until the sandbox ends it, which takes two seconds each time.
const lasts = draft({
  name: 'lasts',
  code: 'export default async (i, ctx) => { for (let n = 0; n < i.x; n++) try { await ctx.tools.spins({ x: 1 }); } catch {} return { y: i.x }; }',
  examples: [],
});

const post = ({ url, token }: HttpProcess, tool: string, body: unknown) =>
  send(url, `/v1/tools/${tool}`, token, { body });

const isClosed = ({ url }: HttpProcess): Promise<boolean> =>
  send(url, '/healthz').then(
    () => false,
    () => true,
  );

async function clientOf({ url, token }: HttpProcess, onChanged: () => void): Promise<Client> {
  const client = new Client({ name: 'test', version: '1.0.0' }, { listChanged: { tools: { onChanged } } });
  const requestInit = { headers: { authorization: `Bearer ${token}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL(`${url}/mcp`), { requestInit }));
  atEnd(() => client.close());
  return client;
}

describe.concurrent('serve --http', () => {
  it('prints one line, and keeps a token that signs in and that two servers share', async () => {
    const home = makeHome();
    const [one, other] = await Promise.all([startHttp(home), startHttp(home)]);
    expect(one.stdout().trim().split('\n')).toHaveLength(1);
    expect(JSON.parse(one.stdout())).toEqual({
      mcp: `${one.url}/mcp`,
      api: `${one.url}/v1`,
      token_file: join(home, 'token'),
    });
    expect(statSync(join(home, 'token')).mode & 0o777).toBe(0o600);
    expect(one.token).toBe(other.token);
    for (const server of [one, other]) {
      expect((await send(server.url, '/v1/tools', server.token)).status).toBe(200);
      expect(server.stdout() + server.stderr()).not.toContain(server.token);
    }
  });

  it('and serve on one home call and announce what the other saved', async () => {
    const home = makeHome();
    const http = await startHttp(home);
    const stdio = await startServer({ home });
    let changes = 0;
    const client = await clientOf(http, () => void changes++);

    await stdio.callTool('save_skill', draft({ name: 'from_stdio' }));
    const called = await client.callTool({ name: 'from_stdio', arguments: { x: 2 } });
    expect(called.structuredContent, textOf(called)).toEqual({ y: 4 });
    expect(await until(() => changes > 0)).toBe(true);

    await post(http, 'save_skill', draft({ name: 'from_http' }));
    expect((await stdio.callTool('from_http', { x: 2 })).result.structuredContent).toEqual({ y: 4 });
    expect(await stdio.hears(({ method }) => method === 'notifications/tools/list_changed')).toBeDefined();
  });

  it('lets a call end at SIGTERM, however long other commands would wait, and leaves nothing of itself', async () => {
    const server = await startHttp(makeHome(), { TOOLWEAVER_APPROVAL: 'auto' });
    for (const skill of [spins, lasts]) expect((await post(server, 'save_skill', skill)).status).toBe(200);
    let isOver = false;
    const call = post(server, 'lasts', { x: 2 }).finally(() => {
      isOver = true;
    });
    await sleep(200);
    const below = descendants(server.pid);
    expect(below.length).toBeGreaterThan(0);
    server.child.kill('SIGTERM');
    expect(await until(() => isClosed(server))).toBe(true);
    expect(isOver).toBe(false);
    expect(await call).toMatchObject({ status: 200, json: { y: 2 } });
    expect(await survivors([server.pid, ...below], 5_000)).toEqual([]);
    expect(await server.ended).toEqual({ code: 0, signal: null });
  });

  it('ends at once at a second signal', async () => {
    const server = await startHttp(makeHome(), { TOOLWEAVER_APPROVAL: 'auto' });
    for (const skill of [spins, lasts]) expect((await post(server, 'save_skill', skill)).status).toBe(200);
    const call = post(server, 'lasts', { x: 9 }).catch((error) => error.code);
    await sleep(200);
    const below = descendants(server.pid);
    server.child.kill('SIGINT');
    expect(await until(() => isClosed(server))).toBe(true);
    server.child.kill('SIGINT');
    expect(await survivors([server.pid, ...below], 5_000)).toEqual([]);
    expect((await server.ended).code).toBe(1);
    expect(await call).toBe('ECONNRESET');
  });

  it('says what is in the way when it cannot start, and ends', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    atEnd(() => other.close());
    const taken = `127.0.0.1:${(other.address() as AddressInfo).port}`;
    const home = makeHome();
    const [port, open, shown] = await Promise.all([
      runCli(['serve', '--http', taken], { home }),
      runCli(['serve', '--http', '0.0.0.0:0', '--auth', 'none'], { home }),
      runCli(['serve', '--http', taken, '--json'], { home }),
    ]);
    expect([port.code, port.stdout]).toEqual([1, '']);
    expect(port.stderr).toBe(
      `error [not_supported] ${taken} cannot be listened on: another program listens there.\n` +
        'hint: Choose another address: toolweaver serve --http 127.0.0.1:7078 (port 0 takes a free one).\n',
    );
    expect([open.code, open.stdout]).toEqual([2, '']);
    expect(open.stderr).toMatch(/^error \[bad_input\] 0\.0\.0\.0:0 can be reached from elsewhere/);
    expect([shown.code, JSON.parse(shown.stderr).error.code]).toEqual([1, 'not_supported']);
  });
});
