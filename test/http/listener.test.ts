import { rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openHttpServer } from '../../src/cli/http-server.ts';
import { createLog } from '../../src/log.ts';
import { temporaryFolder, testApp } from '../helpers/app.ts';
import { endlessTool, httpApp, putTool, sendBytes } from '../helpers/http.ts';
import { until } from '../helpers/process.ts';

const mib = 2 ** 20;
const head = (path: string, token: string, ...lines: string[]) =>
  [
    `POST ${path} HTTP/1.1`,
    'host: 127.0.0.1',
    `authorization: Bearer ${token}`,
    'content-type: application/json',
    ...lines,
    '',
    '',
  ].join('\r\n');

describe('a body', () => {
  const five = Buffer.from(JSON.stringify({ queries: ['x'.repeat(5 * mib)] }));

  it.each(['/mcp', '/v1/tools/search_tools'])(
    'of 5 MiB is refused at %s, and its connection serves on',
    async (path) => {
      const app = await httpApp();
      const token = await app.tokenFor('ada');
      const next = `GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n`;
      const heard = await sendBytes(app.port, head(path, token, `content-length: ${five.length}`), five, next);
      expect(heard.match(/^HTTP\/1\.1 \d+/gm)).toEqual(['HTTP/1.1 413', 'HTTP/1.1 200']);
      expect(heard).toContain('4194304 bytes');
    },
  );

  it.each(['/mcp', '/v1/tools/search_tools'])('of 5 MiB without a length is refused at %s', async (path) => {
    const app = await httpApp();
    const token = await app.tokenFor('ada');
    const chunk = (bytes: Buffer | string) => `${Buffer.byteLength(bytes).toString(16)}\r\n${bytes}\r\n`;
    const next = 'GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n';
    const heard = await sendBytes(
      app.port,
      head(path, token, 'transfer-encoding: chunked'),
      chunk(five.subarray(0, 3 * mib)),
      chunk(five.subarray(3 * mib)),
      '0\r\n\r\n',
      next,
    );
    expect(heard.match(/^HTTP\/1\.1 \d+/gm)).toEqual(['HTTP/1.1 413', 'HTTP/1.1 200']);
  });

  it('of 1 GiB is refused at once, by its length alone', async () => {
    const app = await httpApp();
    const token = await app.tokenFor('ada');
    const heard = await sendBytes(app.port, head('/mcp', token, `content-length: ${1024 * mib}`));
    expect(heard).toMatch(/^HTTP\/1\.1 413 .*\r\n(.*\r\n)*connection: close/i);
  });

  it('that goes on for ever is cut off', async () => {
    const app = await httpApp();
    const token = await app.tokenFor('ada');
    const socket = connect(app.port, '127.0.0.1');
    socket.on('error', () => {});
    let [heard, sent, isClosed] = ['', 0, false];
    socket.on('data', (bytes) => {
      heard += bytes;
    });
    socket.once('close', () => {
      isClosed = true;
    });
    socket.write(head('/mcp', token, 'transfer-encoding: chunked'));
    const chunk = `${mib.toString(16)}\r\n${'x'.repeat(mib)}\r\n`;
    while (!isClosed && sent < 500) {
      sent++;
      await new Promise((resolve) => socket.write(chunk, () => setImmediate(resolve)));
    }
    expect(isClosed).toBe(true);
    expect(heard === '' || heard.startsWith('HTTP/1.1 413')).toBe(true);
  });

  it('that is not read, since nobody signed in, leaves room for the answer', async () => {
    const app = await httpApp();
    const heard = await sendBytes(
      app.port,
      head('/mcp', 'twk_wrong', `content-length: ${five.length}`, 'connection: close'),
      five,
    );
    expect(heard).toMatch(/^HTTP\/1\.1 401 /);
  });

  it('that is broken, empty, in no UTF-8, of another type, or ends early is a problem and no call', async () => {
    const app = await httpApp();
    let calls = 0;
    putTool(app, 'counts', () => void calls++);
    const token = await app.tokenFor('ada');
    const post = (body: string | Buffer, type = 'application/json') =>
      app.send('/v1/tools/counts', token, { body, headers: { 'content-type': type } });
    for (const body of ['{"a":', "{'a':1}", '{"a":1}{"b":2}', '\ufeff\ufeff{}', Buffer.from([0x22, 0xff, 0x22])]) {
      const answer = await post(body);
      expect([answer.status, answer.json.title], String(body)).toEqual([400, 'bad_input']);
      expect(answer.headers['content-type']).toBe('application/problem+json');
    }
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonx', '']) {
      expect((await post('{}', type)).status, type).toBe(415);
    }
    for (const body of ['[]', '42', '"x"']) expect((await post(body)).status, body).toBe(400);
    expect(calls).toBe(0);
    expect((await post('{}', 'application/vnd.mine+json; charset=utf-8')).status).toBe(200);
    expect((await app.send('/v1/tools/counts', token, { method: 'POST' })).status).toBe(200);
    expect(calls).toBe(2);

    const socket = connect(app.port, '127.0.0.1');
    socket.write(`${head('/v1/tools/counts', token, 'content-length: 20')}{"a":`);
    socket.end();
    await new Promise((resolve) => socket.once('close', resolve).resume());
    expect(calls).toBe(2);
  });

  it('that comes too slowly is given up', async () => {
    const app = await httpApp({ times: { requestTimeout: 150, headersTimeout: 100, connectionsCheckingInterval: 30 } });
    const token = await app.tokenFor('ada');
    const slow = await sendBytes(app.port, `${head('/mcp', token, 'content-length: 20')}{"a":`);
    expect(slow).toMatch(/^HTTP\/1\.1 408 /);
    const silent = await sendBytes(app.port, 'GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n');
    expect(silent).toMatch(/^HTTP\/1\.1 408 /);
    expect((await app.send('/healthz')).status).toBe(200);
  });
});

describe('headers', () => {
  it.each([
    ['10,000 of them', Array.from({ length: 10_000 }, (_, i) => `x-${i}: ${i}`).join('\r\n')],
    ['one of 1 MiB', `x-large: ${'x'.repeat(mib)}`],
  ])('that are too many or too large are refused: %s', async (_, lines) => {
    const app = await httpApp();
    const heard = await sendBytes(app.port, `GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n${lines}\r\n\r\n`);
    expect(heard).toMatch(/^HTTP\/1\.1 431 /);
    expect((await app.send('/healthz')).status).toBe(200);
  });

  it.each([
    ['what is no HTTP', 'hello\r\n\r\n'],
    ['no Host', 'GET /healthz HTTP/1.1\r\n\r\n'],
    ['two lengths', 'POST /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab'],
    [
      'a length and chunks',
      'POST /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
  ])('that cannot be understood end the connection: %s', async (_, bytes) => {
    const app = await httpApp();
    expect(await sendBytes(app.port, bytes)).toMatch(/^HTTP\/1\.1 400 /);
    expect((await app.send('/healthz')).status).toBe(200);
  });

  it('of a client that does not close its end do not keep the connection', async () => {
    const app = await httpApp();
    const socket = connect({ port: app.port, host: '127.0.0.1', allowHalfOpen: true });
    socket.on('error', () => {}).resume();
    let isClosed = false;
    socket.once('close', () => {
      isClosed = true;
    });
    socket.write('hello\r\n\r\n');
    // Writing finds out that the other side is gone, not only that it has no more to say.
    const isOver = () => {
      if (!isClosed) socket.write('more');
      return isClosed;
    };
    expect(await until(isOver)).toBe(true);
  });
});

describe('a path', () => {
  it.each([
    '/',
    '/nowhere',
    '//mcp',
    '//127.0.0.1/mcp',
    '/mcp/',
    '/mcp/../nowhere',
    '/MCP',
    '/%6dcp',
    '/mcp%2f',
    '/mcp;x=1',
    '/v1',
    '/v1/',
    '/v1/toolsx',
    '/v1/openapi.json/',
    '/.well-known/oauth-protected-resource',
    '/\\mcp',
  ])('that nothing stands at is not found: %s', async (path) => {
    const app = await httpApp();
    const answer = await app.send(path, await app.tokenFor('ada'));
    expect([answer.status, answer.json.title]).toEqual([404, 'not_found']);
  });

  it('that is very long is not repeated whole', async () => {
    const app = await httpApp();
    const token = await app.tokenFor('ada');
    for (const path of [`/${'x'.repeat(10_000)}`, `/v1/runs/${'x'.repeat(10_000)}`]) {
      const answer = await app.send(path, token);
      expect([400, 404]).toContain(answer.status);
      expect(answer.text.length).toBeLessThan(1_000);
    }
  });

  it('is served however it is written when it means the same, and only to who is signed in', async () => {
    const app = await httpApp();
    const token = await app.tokenFor('ada');
    for (const path of ['/mcp/../v1/tools', '/mcp/%2e%2e/v1/tools', '/v1/tools?format=mcp&x=%', '/v1/tools#x']) {
      expect((await app.send(path, token)).status, path).toBe(200);
      expect((await app.send(path)).status, path).toBe(401);
    }
  });

  it.each(['*', 'http://127.0.0.1/healthz', 'mcp', 'http://[/'])('that is none is refused: %s', async (path) => {
    const app = await httpApp();
    const heard = await sendBytes(app.port, `GET ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n`);
    expect(heard).toMatch(/^HTTP\/1\.1 400 /);
  });

  it('says which methods it takes', async () => {
    const app = await httpApp();
    const token = await app.tokenFor('ada');
    const allowed = {
      '/mcp': 'GET, POST, DELETE',
      '/v1/tools': 'GET, HEAD',
      '/v1/tools/search_tools': 'POST',
      '/v1/runs/run_x': 'GET, HEAD, DELETE',
      '/v1/openapi.json': 'GET, HEAD',
      '/healthz': 'GET, HEAD',
    };
    for (const [path, allow] of Object.entries(allowed)) {
      const wrong = await app.send(path, token, { method: 'PUT', body: '{}' });
      expect([wrong.status, wrong.headers.allow, wrong.json.status], path).toEqual([405, allow, 405]);
      const options = await app.send(path, undefined, { method: 'OPTIONS' });
      expect([options.status, options.headers.allow, options.text], path).toEqual([204, `${allow}, OPTIONS`, '']);
    }
    const listed = await app.send('/v1/tools', token, { method: 'HEAD' });
    expect([listed.status, listed.text]).toEqual([200, '']);
  });
});

describe('the listener', () => {
  it('says in words that its address is taken, and leaves nothing behind', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void other.close());
    const address = other.address();
    const port = typeof address === 'object' ? address?.port : 0;
    const app = await testApp({ settings: { httpAddress: `127.0.0.1:${port}`, auth: 'none' } });
    await expect(openHttpServer(app)).rejects.toMatchObject({
      code: 'not_supported',
      message: `127.0.0.1:${port} cannot be listened on: another program listens there.`,
      hint: expect.stringContaining('--http'),
    });
  });

  it.each([
    ['with auth none where others reach it', { httpAddress: '0.0.0.0:0', auth: 'none' }],
    ['with auth none on every IPv6 address', { httpAddress: '[::]:0', auth: 'none' }],
    ['with auth none under a name', { httpAddress: 'example.com:0', auth: 'none' }],
    ['with OAuth and no issuer', { auth: 'oauth', audience: 'https://x.example/mcp' }],
    ['with OAuth and no audience', { auth: 'oauth', issuer: 'https://x.example' }],
    [
      'with OAuth and an audience that is no address',
      { auth: 'oauth', issuer: 'https://x.example', audience: 'urn:x' },
    ],
    ['on a port that does not exist', { httpAddress: '127.0.0.1:70000', auth: 'none' }],
    ['with a host that no request names', { httpAllowedHosts: ['*.x.example'], auth: 'none' }],
  ])('does not start %s', async (_, settings) => {
    const app = await testApp({ settings: { httpAddress: '127.0.0.1:0', ...settings } });
    await expect(openHttpServer(app)).rejects.toMatchObject({ code: 'bad_input', hint: expect.any(String) });
  });

  it('starts without auth on the loopback, where everybody is the local agent', async () => {
    const app = await httpApp({ settings: { auth: 'none', httpAddress: 'localhost:0' } });
    putTool(app, 'whoami', (_, { request: { principal } }) => ({ kind: principal.kind, scopes: principal.scopes }));
    const answer = await app.send('/v1/tools/whoami', undefined, { method: 'POST' });
    expect(answer.json).toEqual({ kind: 'agent', scopes: ['read', 'call', 'save'] });
  });

  it('answers on IPv6 as well', async ({ skip }) => {
    const app = await httpApp({ settings: { auth: 'none', httpAddress: '[::1]:0' } }).catch((error) => {
      if (/EADDRNOTAVAIL|EAFNOSUPPORT/.test(error.message)) return skip('this machine has no IPv6');
      throw error;
    });
    expect(app.url).toMatch(/^http:\/\/\[::1\]:\d+$/);
    expect((await app.send('/v1/tools')).status).toBe(200);
  });

  it('keeps what was not foreseen out of the answer and in the log', async () => {
    const lines: string[] = [];
    const app = await httpApp({ log: createLog('error', { write: (line) => void lines.push(line) }) });
    const token = await app.tokenFor('ada');
    app.catalog.list = () => {
      throw new TypeError('a secret of the inside');
    };
    const answer = await app.send('/v1/tools', token);
    expect([answer.status, answer.json.title]).toEqual([500, 'internal']);
    expect(answer.text).not.toContain('secret');
    expect(lines.join('')).toContain('a secret of the inside');
    expect(lines.join('')).not.toContain(token);
  });

  it('stops the work of a call whose client is gone, at the JSON API too', async () => {
    const app = await httpApp();
    const endless = endlessTool(app);
    const token = await app.tokenFor('ada');
    const socket = connect(app.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(`${head('/v1/tools/endless', token, 'content-length: 2')}{}`);
    expect(await until(() => endless.begun() === 1)).toBe(true);
    socket.destroy();
    expect(await until(() => endless.stopped() === 1)).toBe(true);
  });
});

describe('a page', () => {
  const settings = { httpAllowedOrigins: ['https://app.example.com'] };
  const from = (origin: string, more: Record<string, string> = {}) => ({ headers: { origin, ...more } });

  it('of a listed origin may read answers, also refusals, and ask before it sends', async () => {
    const app = await httpApp({ settings });
    const token = await app.tokenFor('ada');
    const listed = await app.send('/v1/tools', token, from('https://app.example.com'));
    expect(listed.status).toBe(200);
    expect(listed.headers).toMatchObject({
      'access-control-allow-origin': 'https://app.example.com',
      vary: expect.stringContaining('origin'),
    });
    expect(listed.headers['access-control-allow-credentials']).toBeUndefined();
    const refused = await app.send('/v1/tools', undefined, from('https://app.example.com'));
    expect([refused.status, refused.headers['access-control-allow-origin']]).toEqual([401, 'https://app.example.com']);

    const asks = { 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' };
    const preflight = await app.send('/mcp', undefined, {
      ...from('https://app.example.com', asks),
      method: 'OPTIONS',
    });
    expect([preflight.status, preflight.text]).toEqual([204, '']);
    expect(preflight.headers).toMatchObject({
      'access-control-allow-methods': 'GET, POST, DELETE',
      'access-control-allow-headers': expect.stringMatching(/authorization.*idempotency-key.*mcp-session-id/),
    });
  });

  it('of any other origin gets nothing, and no permission either', async () => {
    const app = await httpApp({ settings });
    const token = await app.tokenFor('ada');
    for (const method of ['GET', 'OPTIONS']) {
      for (const origin of ['https://evil.example', 'null']) {
        const answer = await app.send('/v1/tools', token, {
          method,
          ...from(origin, { 'access-control-request-method': 'GET' }),
        });
        expect([answer.status, answer.json?.title], `${method} ${origin}`).toEqual([403, 'not_allowed']);
        expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
      }
    }
  });

  it('that reaches the server under a foreign name gets nothing, at no address', async () => {
    const app = await httpApp();
    const token = await app.tokenFor('ada');
    for (const path of ['/mcp', '/v1/tools', '/healthz', '/nowhere']) {
      const answer = await app.send(path, token, { headers: { host: `evil.example:${app.port}` } });
      expect([answer.status, answer.json.title], path).toEqual([403, 'not_allowed']);
      expect(answer.text).not.toContain('evil.example');
    }
    expect((await app.send('/healthz', undefined, { headers: { host: `[::1]:${app.port}` } })).status).toBe(200);
  });
});

const unready = { status: 503, json: { status: 'unavailable', database: expect.any(String) } };

describe('health', () => {
  it('is told to anybody, and nothing else', async () => {
    const app = await httpApp();
    for (const path of ['/healthz', '/readyz']) {
      const answer = await app.send(path);
      expect([answer.status, answer.json]).toEqual([200, { status: 'ok' }]);
      expect(answer.headers['cache-control']).toBe('no-store');
      expect((await app.send(path, undefined, { method: 'HEAD' })).text).toBe('');
    }
  });

  it('of the process is not that of its database: closed, it is alive and not ready', async () => {
    const app = await httpApp();
    await app.database.close();
    expect((await app.send('/healthz')).status).toBe(200);
    expect(await app.send('/readyz')).toMatchObject(unready);
  });

  it('says that it is not ready once the file of its database is gone, though it is still open', async () => {
    const folder = temporaryFolder();
    const app = await httpApp({ file: join(folder, 'library.db') });
    expect((await app.send('/readyz')).status).toBe(200);
    rmSync(folder, { recursive: true });
    expect(await app.send('/readyz')).toMatchObject(unready);
    expect((await app.send('/healthz')).status).toBe(200);
  });

  it('tells nothing of where the database is, or why', async () => {
    const folder = temporaryFolder();
    const app = await httpApp({ file: join(folder, 'library.db') });
    rmSync(folder, { recursive: true });
    expect((await app.send('/readyz')).text).not.toContain('library.db');
  });
});
