import type { IncomingMessage, RequestListener } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createClient } from '../../src/net/client.ts';
import type { NetLimits } from '../../src/net/request.ts';
import { readBytes, readText } from '../../src/net/response.ts';
import type { HostRule } from '../../src/net/rules.ts';
import { openTransport } from '../../src/net/transport.ts';
import { ca, listen, listenRaw, openWorld, publicAddress } from '../helpers/world.ts';

const api = 'https://api.example.com';

/** A client of a world where api.example.com answers so. */
async function clientOf(
  handler: RequestListener,
  limits: Partial<NetLimits> = {},
  allow: HostRule[] = [{ host: 'api.example.com' }],
) {
  const world = openWorld();
  await world.serve(api, handler);
  return { ...world, client: createClient({ transport: world.transport, allow, limits }) };
}

/** A client of 127.0.0.1 through the real connector. */
function localClient(port: number, limits: Partial<NetLimits> = {}) {
  const transport = openTransport({ ca });
  onTestFinished(() => transport.close());
  const client = createClient({ transport, allow: [{ host: '127.0.0.1', ports: [port], isPrivate: true }], limits });
  return { client, url: `http://127.0.0.1:${port}/` };
}

const echo: RequestListener = async (request, response) => {
  const { method, url, headers } = request;
  const body = (await buffer(request)).toString();
  response.setHeader('content-type', 'application/json').end(JSON.stringify({ method, url, headers, body }));
};

async function json(response: Parameters<typeof readBytes>[0]) {
  return JSON.parse((await readBytes(response)).toString());
}

describe('the client', () => {
  it('sends what it is asked to and gives what comes back', async () => {
    const { client, connections } = await clientOf(async (request, response) => {
      response.setHeader('x-many', ['a', 'b']).statusCode = 201;
      response.statusMessage = 'Made';
      await echo(request, response);
    });
    const response = await client.send({
      url: `${api}/items?q=a%20b#part`,
      method: 'post',
      headers: { 'Content-Type': 'text/plain', 'X-One': 'två' },
      body: 'größer',
    });
    expect(response).toMatchObject({
      status: 201,
      statusText: 'Made',
      url: `${api}/items?q=a%20b`,
      hosts: ['api.example.com'],
    });
    expect(response.headers).toMatchObject({ 'x-many': 'a, b', 'content-type': 'application/json' });
    const said = await json(response);
    expect(said).toMatchObject({ method: 'POST', url: '/items?q=a%20b', body: 'größer' });
    expect(said.headers).toMatchObject({
      host: 'api.example.com',
      'content-type': 'text/plain',
      'content-length': '8',
      'user-agent': expect.stringMatching(/^toolweaver\/\d/),
    });
    expect(connections).toEqual([`api.example.com ${publicAddress}:443`]);
  });

  it('uses a connection again', async () => {
    const { client, connections, lookups } = await clientOf(echo);
    for (const path of ['/1', '/2', '/3', '/4', '/5'])
      expect(await json(await client.send({ url: api + path }))).toMatchObject({ url: path });
    // The second may come before the first connection is known to be free.
    expect(connections.length).toBeLessThanOrEqual(2);
    expect(lookups).toHaveLength(connections.length);
  });

  it('gives an answer of any status, since what that means is for the caller to say', async () => {
    const { client } = await clientOf((request, response) => {
      response.writeHead(Number(request.url?.slice(1)), { 'content-type': 'text/plain' }).end();
    });
    for (const status of [204, 304, 404, 500])
      expect((await client.send({ url: `${api}/${status}` })).status).toBe(status);
    const head = await client.send({ url: `${api}/200`, method: 'HEAD' });
    expect((await readBytes(head)).length).toBe(0);
  });

  it.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
  ])('unpacks %s', async (coding, pack) => {
    const { client } = await clientOf((request, response) => {
      expect(request.headers['accept-encoding']).toContain(coding);
      response.setHeader('content-encoding', coding).end(pack('hello '.repeat(1_000)));
    });
    expect((await readBytes(await client.send({ url: api }))).toString()).toBe('hello '.repeat(1_000));
  });

  it('gives text as it comes, and no half letters', async () => {
    const word = Buffer.from('größer');
    let goOn = (): void => {};
    const { client } = await clientOf((_request, response) => {
      response.write(word.subarray(0, 3));
      goOn = () => response.end(word.subarray(3));
    });
    const pieces: string[] = [];
    for await (const piece of readText(await client.send({ url: api }))) {
      pieces.push(piece);
      goOn();
    }
    expect(pieces).toEqual(['gr', 'ößer']);
  });

  it('stops at once when its caller gives up, before, while it waits and while it reads', async () => {
    const { client } = await clientOf((_request, response) => void response.write('begin'));
    const cancelled = expect.objectContaining({ code: 'cancelled' });
    await expect(client.send({ url: api, signal: AbortSignal.abort() })).rejects.toEqual(cancelled);
    const controller = new AbortController();
    const response = await client.send({ url: api, signal: controller.signal });
    const read = async () => {
      for await (const _ of response.body) controller.abort();
    };
    await expect(read()).rejects.toEqual(cancelled);
    const silent = await clientOf(() => {});
    const waiting = new AbortController();
    const sent = silent.client.send({ url: api, signal: waiting.signal });
    setTimeout(() => waiting.abort(), 50);
    await expect(sent).rejects.toEqual(cancelled);
  });

  it('takes only so many requests at a time, and frees the place of one whose answer nobody reads', async () => {
    const world = openWorld({ maxAtOnce: 1 });
    await world.serve(api, echo);
    const client = createClient({ transport: world.transport, allow: [{ host: 'api.example.com' }] });
    const first = await client.send({ url: api });
    await expect(client.send({ url: api })).rejects.toMatchObject({ code: 'busy' });
    first.close();
    first.close();
    await readBytes(await client.send({ url: api }));
    const brief = createClient({
      transport: world.transport,
      allow: [{ host: 'api.example.com' }],
      limits: { totalMs: 100 },
    });
    const unread = await brief.send({ url: api });
    await expect
      .poll(() =>
        client
          .send({ url: api })
          .then(readBytes)
          .then(
            () => 'free',
            () => 'busy',
          ),
      )
      .toBe('free');
    await expect(readBytes(unread)).rejects.toMatchObject({ code: 'timed_out' });
  });

  it('says what is wrong with a request, without sending it', async () => {
    const { client, connections } = await clientOf(echo);
    const wrong: [object, string][] = [
      [{ url: 'nowhere' }, 'The address is none.'],
      [{ url: 'ftp://api.example.com/' }, 'begins with "ftp:"'],
      [{ url: 'file:///etc/passwd' }, 'begins with "file:"'],
      [{ url: 'data:text/plain,x' }, 'begins with "data:"'],
      [{ url: 'https://me:secret@api.example.com/' }, 'holds a user or a password'],
      [{ url: `${api}/${'a'.repeat(9_000)}` }, 'longer than 8192 bytes'],
      [{ url: api, method: 'CONNECT' }, '"CONNECT" is no method'],
      [{ url: api, method: 'TRACE' }, '"TRACE" is no method'],
      [{ url: api, method: 'GET / HTTP/1.1\r\n\r\nGET' }, 'is no method'],
      [{ url: api, body: 'x' }, 'A GET has no body'],
    ];
    for (const [request, message] of wrong) {
      await expect(client.send(request as { url: string })).rejects.toMatchObject({
        code: 'bad_input',
        message: expect.stringContaining(message),
        hint: expect.any(String),
      });
    }
    await expect(client.send({ url: api, method: 'POST', body: Buffer.alloc(10_000_001) })).rejects.toMatchObject({
      code: 'limit_exceeded',
      details: { limit: 'request_bytes' },
    });
    expect(connections).toEqual([]);
  });

  it('says what is wrong with the world', async () => {
    const world = openWorld();
    world.names.set('empty.example.com', []);
    world.names.set('closed.example.com', [publicAddress]);
    const client = createClient({ transport: world.transport, allow: [{ host: '*.example.com' }] });
    for (const [host, message] of [
      ['unknown', 'is not known to the name server'],
      ['empty', 'knows no address'],
      ['closed', 'takes no connections'],
    ]) {
      await expect(client.send({ url: `https://${host}.example.com` })).rejects.toMatchObject({
        code: 'unavailable',
        message: expect.stringMatching(new RegExp(`${host}\\.example\\.com.*${message}|${message}.*${host}`)),
      });
    }
  });

  it('speaks to no host whose certificate is of another, or whom nobody trusts', async () => {
    const { client, serve } = await clientOf(echo, {}, [{ host: 'impostor.com' }, { host: 'api.example.com' }]);
    let wasAsked = false;
    await serve('https://impostor.com', (_request, response) => {
      wasAsked = true;
      response.end();
    });
    await expect(client.send({ url: 'https://impostor.com' })).rejects.toMatchObject({
      code: 'unavailable',
      message: 'impostor.com has a certificate of another host.',
    });
    const port = await listen('https:', echo);
    const transport = openTransport();
    onTestFinished(() => transport.close());
    const distrustful = createClient({ transport, allow: [{ host: '127.0.0.1', ports: [port], isPrivate: true }] });
    await expect(distrustful.send({ url: `https://127.0.0.1:${port}` })).rejects.toMatchObject({
      message: expect.stringContaining('nobody here trusts'),
      hint: expect.stringContaining('NODE_EXTRA_CA_CERTS'),
    });
    expect(wasAsked).toBe(false);
  });

  it('reaches a local server through the real connector where its rule says that it is private', async () => {
    const { client, url } = localClient(await listen('http:', echo));
    expect(await json(await client.send({ url }))).toMatchObject({ method: 'GET' });
    const port = await listen('https:', echo);
    const transport = openTransport({ ca, resolve: async () => ['127.0.0.1'] });
    onTestFinished(() => transport.close());
    const named = createClient({ transport, allow: [{ host: 'api.example.com', ports: [port], isPrivate: true }] });
    expect(await json(await named.send({ url: `${api}:${port}` }))).toMatchObject({
      headers: { host: `api.example.com:${port}` },
    });
  });

  it('is not made of rules that cannot be used', () => {
    const { transport } = openWorld();
    expect(() => createClient({ transport, allow: [{ host: '*' }] })).toThrow(
      expect.objectContaining({ code: 'bad_input' }),
    );
    createClient({ transport, allow: [{ host: '*' }], anyHost: true });
  });
});

describe('a redirect', () => {
  type Seen = Pick<IncomingMessage, 'method' | 'url' | 'headers'> & { body: string };
  /** Two servers; the first redirects as it is told, and all that they see is kept. */
  async function redirecting(status: number, location: string | string[], limits: Partial<NetLimits> = {}) {
    const seen: Seen[] = [];
    const handler: RequestListener = async (request, response) => {
      const { method, url, headers } = request;
      seen.push({ method, url, headers, body: (await buffer(request)).toString() });
      if (url === '/from') response.writeHead(status, { location: location as string }).end('moved');
      else response.end('here');
    };
    const allow = [{ host: 'api.example.com' }, { host: 'other.example.com' }, { host: 'plain.example.com' }];
    const world = await clientOf(handler, limits, allow);
    await world.serve('https://other.example.com', handler);
    await world.serve('http://api.example.com', handler);
    await world.serve('http://plain.example.com', handler);
    return { ...world, seen };
  }

  it('within the origin keeps headers and credentials', async () => {
    const { client, seen } = await redirecting(302, '/to');
    const response = await client.send({
      url: `${api}/from`,
      headers: { 'x-a': '1' },
      credentials: { 'x-api-key': 'k' },
    });
    expect([(await readBytes(response)).toString(), response.url]).toEqual(['here', `${api}/to`]);
    expect(seen[1]).toMatchObject({ url: '/to', headers: { 'x-a': '1', 'x-api-key': 'k' } });
  });

  it('to another origin loses credentials, authorization and cookies, and does not get them back on the way home', async () => {
    const { client, seen, serve } = await redirecting(302, 'https://other.example.com/on');
    await serve('https://other.example.com', (request, response) => {
      seen.push({ method: request.method, url: request.url, headers: request.headers, body: '' });
      response.writeHead(302, { location: `${api}/to` }).end();
    });
    const response = await client.send({
      url: `${api}/from`,
      headers: { Authorization: 'Bearer a', cookie: 'b', 'x-a': '1' },
      credentials: { 'X-Api-Key': 'c' },
    });
    expect(response.hosts).toEqual(['api.example.com', 'other.example.com', 'api.example.com']);
    expect(seen[0]?.headers).toMatchObject({ authorization: 'Bearer a', cookie: 'b', 'x-api-key': 'c' });
    for (const { headers } of seen.slice(1)) {
      expect(headers).toMatchObject({ 'x-a': '1' });
      for (const name of ['authorization', 'cookie', 'x-api-key']) expect(headers).not.toHaveProperty(name);
    }
  });

  it('to another port or scheme is one to another origin', async () => {
    const { client, seen } = await redirecting(302, 'http://api.example.com/to');
    await readBytes(await client.send({ url: `${api}/from`, headers: { 'x-a': '1' } }));
    expect(seen[1]).toMatchObject({ url: '/to', headers: { 'x-a': '1' } });
  });

  it('from https to http is refused once credentials were sent', async () => {
    const { client, seen } = await redirecting(302, 'http://api.example.com/to');
    for (const proof of [{ credentials: { 'x-api-key': 'k' } }, { headers: { authorization: 'Bearer k' } }]) {
      await expect(client.send({ url: `${api}/from`, ...proof })).rejects.toMatchObject({
        code: 'not_allowed',
        message: 'api.example.com redirects from https to http, after credentials were sent.',
      });
    }
    expect(seen.map(({ url }) => url)).toEqual(['/from', '/from']);
  });

  it('also when another https host stood in between', async () => {
    const { client, seen, serve } = await redirecting(302, 'https://other.example.com/on');
    await serve('https://other.example.com', (_request, response) => {
      response.writeHead(302, { location: 'http://plain.example.com/' }).end();
    });
    const sent = client.send({ url: `${api}/from`, credentials: { 'x-api-key': 'k' } });
    await expect(sent).rejects.toMatchObject({
      code: 'not_allowed',
      message: expect.stringContaining('from https to http'),
    });
    expect(seen).toHaveLength(1);
  });

  it.each([
    [301, 'POST', 'GET', ''],
    [302, 'POST', 'GET', ''],
    [303, 'PUT', 'GET', ''],
    [302, 'PUT', 'PUT', 'body'],
    [307, 'POST', 'POST', 'body'],
    [308, 'PATCH', 'PATCH', 'body'],
  ])('by %i makes a %s a %s', async (status, method, becomes, body) => {
    const { client, seen } = await redirecting(status, '/to');
    await readBytes(
      await client.send({ url: `${api}/from`, method, headers: { 'content-type': 'text/plain' }, body: 'body' }),
    );
    expect(seen[1]).toMatchObject({ method: becomes, body });
    expect('content-type' in (seen[1]?.headers ?? {})).toBe(body !== '');
  });

  it('is not one without a place to go, or with two', async () => {
    for (const location of [[], ['/a', '/b']]) {
      const { client, seen } = await redirecting(302, location);
      expect((await client.send({ url: `${api}/from` })).status).toBe(302);
      expect(seen).toHaveLength(1);
    }
  });

  it('ends after five of them', async () => {
    const { client } = await clientOf((request, response) => {
      const left = Number(request.url?.slice(1));
      if (left > 0) response.writeHead(302, { location: `/${left - 1}` });
      response.end();
    });
    expect((await client.send({ url: `${api}/5` })).hosts).toHaveLength(6);
    await expect(client.send({ url: `${api}/6` })).rejects.toMatchObject({
      code: 'limit_exceeded',
      details: { limit: 'redirects' },
    });
    await expect(client.send({ url: `${api}/1000000` })).rejects.toMatchObject({ code: 'limit_exceeded' });
  });

  it('needs the method to be allowed where it leads', async () => {
    const { serve, transport } = await redirecting(307, 'https://other.example.com/to');
    await serve('https://other.example.com', echo);
    const allow = [{ host: 'api.example.com' }, { host: 'other.example.com', methods: ['GET'] }];
    const sent = createClient({ transport, allow }).send({ url: `${api}/from`, method: 'POST', body: 'x' });
    await expect(sent).rejects.toMatchObject({
      code: 'not_allowed',
      message: 'POST may not be sent to other.example.com.',
    });
  });
});

describe('a bad server', () => {
  const small: Partial<NetLimits> = { responseBytes: 10_000, totalMs: 5_000, idleMs: 5_000 };

  it('cannot send more than the limit, announced or not', async () => {
    const { client } = await clientOf((request, response) => {
      if (request.url === '/announced') response.setHeader('content-length', 10_001);
      response.end(Buffer.alloc(10_001));
    }, small);
    const tooLarge = {
      code: 'limit_exceeded',
      message: 'The answer has more than 10000 bytes.',
      details: { limit: 'response_bytes' },
    };
    await expect(client.send({ url: `${api}/announced` })).rejects.toMatchObject(tooLarge);
    await expect(client.send({ url: api }).then(readBytes)).rejects.toMatchObject(tooLarge);
  });

  it('cannot send without end', async () => {
    let isGone = false;
    const { client } = await clientOf(
      (_request, response) => {
        const more = (): void => void (response.writable && response.write(Buffer.alloc(65_536), more));
        response.on('close', () => {
          isGone = true;
        });
        more();
      },
      { responseBytes: 1_000_000 },
    );
    await expect(client.send({ url: api }).then(readBytes)).rejects.toMatchObject({ code: 'limit_exceeded' });
    await expect.poll(() => isGone).toBe(true);
  });

  it('cannot hide something huge in something small', async () => {
    const bomb = gzipSync(Buffer.alloc(20_000_000));
    expect(bomb.length).toBeLessThan(25_000);
    const { client } = await clientOf(
      (_request, response) => {
        response.setHeader('content-encoding', 'gzip').end(bomb);
      },
      { responseBytes: 1_000_000 },
    );
    const before = process.memoryUsage().arrayBuffers;
    await expect(client.send({ url: api }).then(readBytes)).rejects.toMatchObject({ code: 'limit_exceeded' });
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(15_000_000);
  });

  it('cannot send an endless tail behind a packed answer', async () => {
    let isGone = false;
    const { client } = await clientOf(
      (_request, response) => {
        response.setHeader('content-encoding', 'gzip').write(gzipSync('small'));
        const more = (): void => void (response.writable && response.write(Buffer.alloc(65_536), more));
        response.on('close', () => {
          isGone = true;
        });
        more();
      },
      { totalMs: 10_000 },
    );
    expect((await readBytes(await client.send({ url: api }))).toString()).toBe('small');
    await expect.poll(() => isGone).toBe(true);
  });

  it.each([
    ['gzip', 'not packed at all', 'cannot be unpacked'],
    ['gzip', gzipSync('cut off').subarray(0, 12), 'cannot be unpacked'],
    ['br', 'not packed at all', 'cannot be unpacked'],
    ['gzip, gzip', 'x', 'content coding "gzip, gzip"'],
    ['zstd', 'x', 'content coding "zstd"'],
  ])('that says %s and sends %j is named', async (coding, body, message) => {
    const { client } = await clientOf((_request, response) => {
      response.setHeader('content-encoding', coding).end(body);
    });
    await expect(client.send({ url: api }).then(readBytes)).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining(message),
    });
  });

  it('cannot keep anybody waiting: not silent, not in the middle, not drop by drop, not by redirects', async () => {
    const ends = async (handler: RequestListener, limits: Partial<NetLimits>, message: string) => {
      const { client } = await clientOf(handler, limits);
      const read = client.send({ url: api }).then(readBytes);
      await expect(read).rejects.toMatchObject({ code: 'timed_out', message });
    };
    const drips: RequestListener = (_request, response) => {
      const drop = setInterval(() => response.write('.'), 20);
      response.on('close', () => clearInterval(drop));
    };
    const redirects: RequestListener = (_request, response) => {
      setTimeout(() => response.writeHead(302, { location: '/' }).end(), 150);
    };
    const begins: RequestListener = (_request, response) => void response.write('begin');
    const tooLong = 'The request took longer than 400 ms.';
    await Promise.all([
      ends(() => {}, { headersMs: 300 }, 'api.example.com did not begin to answer in time.'),
      ends(begins, { idleMs: 300 }, 'api.example.com stopped in the middle of its answer.'),
      ends(drips, { totalMs: 400 }, tooLong),
      ends(redirects, { totalMs: 400, redirects: 20 }, tooLong),
    ]);
  });

  it.each([
    ['a length that is too long', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort', /broke|another length/],
    ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 5\r\n\r\nhello', /another length/],
    [
      'a length and chunks',
      'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
      /another length/,
    ],
    ['a wrong chunk', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n', /not HTTP/],
    ['no HTTP', 'SSH-2.0-OpenSSH_9.6\r\n', /not HTTP/],
    ['nothing', '', /broke/],
    ['a header of many kilobytes', `HTTP/1.1 200 OK\r\nx: ${'a'.repeat(40_000)}\r\n\r\n`, /headers that are too large/],
    ['many headers', `HTTP/1.1 200 OK\r\n${'x: aaaaaaaaaa\r\n'.repeat(4_000)}\r\n`, /headers that are too large/],
  ])('that sends %s is named', async (_what, bytes, message) => {
    const { client, url } = localClient(await listenRaw((socket) => socket.end(bytes)), small);
    await expect(client.send({ url }).then(readBytes)).rejects.toMatchObject({
      code: expect.stringMatching(/^(unavailable|limit_exceeded)$/),
      message: expect.stringMatching(message),
      hint: expect.any(String),
    });
  });

  it('cannot put a second answer in front of the next request', async () => {
    const second = 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwrong';
    let asked = 0;
    const port = await listenRaw((socket) => {
      asked++;
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nright${asked === 1 ? second : ''}`);
    });
    const { client, url } = localClient(port, small);
    expect((await readBytes(await client.send({ url }))).toString()).toBe('right');
    expect((await client.send({ url }).then(readBytes).catch(String)).toString()).not.toBe('wrong');
  });
});
