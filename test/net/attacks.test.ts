import { describe, expect, it, onTestFinished } from 'vitest';
import { createClient } from '../../src/net/client.ts';
import { readBytes } from '../../src/net/response.ts';
import { openTransport } from '../../src/net/transport.ts';
import { listen, openWorld, publicAddress } from '../helpers/world.ts';

const everything = [{ host: '*' }];
const unreachable = {
  code: 'not_allowed',
  message: expect.stringMatching(/ is at (a private|an) address/),
  hint: expect.any(String),
};

/** Every way to write 127.0.0.1, 10.0.0.1, 169.254.169.254 and others that is known to have opened a door somewhere. */
const literals = [
  ...[
    '127.0.0.1',
    '127.1',
    '127.0.1',
    '127.255.255.254',
    '2130706433',
    '0x7f000001',
    '0x7f.0.0.1',
    '0x7f.1',
    '0177.0.0.1',
  ],
  ...['017700000001', '0177.1', '0x7F.0x0.0x0.0x1', '127.0.0.1.', '00000177.0.0.1', '%31%32%37.0.0.1', '127。0。0。1'],
  ...['１２７.0.0.1', '①②⑦.⓪.⓪.①', '0', '0.0.0.0', '0x0', '0.1', '[::]', '[::1]', '[0:0:0:0:0:0:0:1]', '[0000::0001]'],
  ...[
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[::FFFF:7F00:1]',
    '[0:0:0:0:0:ffff:127.0.0.1]',
    '[::127.0.0.1]',
    '[::7f00:1]',
  ],
  ...['[::ffff:0:127.0.0.1]', '[64:ff9b::127.0.0.1]', '[64:ff9b::7f00:1]', '[64:ff9b:1::7f00:1]', '[2002:7f00:1::]'],
  ...[
    '10.0.0.1',
    '10.1',
    '167772161',
    '0xa000001',
    '012.0.0.1',
    '172.16.0.1',
    '2886729729',
    '192.168.0.1',
    '3232235521',
  ],
  ...[
    '192.168.1',
    '[::ffff:192.168.0.1]',
    '[fc00::1]',
    '[fd12:3456::1]',
    '[fe80::1]',
    '[fec0::1]',
    '100.64.0.1',
    '198.18.0.1',
  ],
  ...['169.254.169.254', '2852039166', '0xa9fea9fe', '0xa9.0xfe.0xa9.0xfe', '0251.0376.0251.0376', '025177524776'],
  ...['169.254.43518', '169.16689662', '[::ffff:169.254.169.254]', '[::ffff:a9fe:a9fe]', '[64:ff9b::a9fe:a9fe]'],
  ...['[fd00:ec2::254]', '100.100.100.200', '168.63.129.16', '192.0.0.192', '169.254.170.2', '[2002:a9fe:a9fe::]'],
  ...[
    '224.0.0.1',
    '239.255.255.250',
    '255.255.255.255',
    '240.0.0.1',
    '[ff02::1]',
    '192.0.2.1',
    '[2001:db8::1]',
    '[2001::1]',
  ],
];

describe('an address in an URL', () => {
  it.each(literals)('%s leads nowhere, also where every host may be reached', async (literal) => {
    const { transport, connections, lookups } = openWorld();
    const client = createClient({ transport, allow: everything, anyHost: true });
    for (const scheme of ['http', 'https']) {
      await expect(client.send({ url: `${scheme}://${literal}/latest/meta-data/` })).rejects.toMatchObject(unreachable);
    }
    expect([connections, lookups]).toEqual([[], []]);
  });

  it.each([
    'http://[fe80::1%25eth0]/',
    'http://[fe80::1%eth0]/',
    'http://[::1%251]/',
    'http://127.0.0.1.5/',
    'http://0x1ffffffff/',
    'http://256.0.0.1/',
    'http://[::ffff:127.0.0.1',
    'http:///127.0.0.1:x/',
    'http://a b/',
  ])('%s is none', async (url) => {
    const { transport, connections, lookups } = openWorld();
    const client = createClient({ transport, allow: everything, anyHost: true });
    await expect(client.send({ url })).rejects.toMatchObject({ code: 'bad_input', message: 'The address is none.' });
    expect([connections, lookups]).toEqual([[], []]);
  });

  it.each([
    'http://api.example.com@127.0.0.1/',
    'http://127.0.0.1\\@api.example.com/',
    'http://api.example.com#@127.0.0.1/',
    'http://127.0.0.1?@api.example.com/',
    'http:127.0.0.1/',
    'http://127.0.0.1:80\\.api.example.com/',
    'ht\ttp://127.0.\n0.1/',
  ])('that is meant to be read in two ways (%j) is read once', async (url) => {
    const world = openWorld();
    await world.serve('http://api.example.com', (_request, response) => response.end('the right one'));
    const client = createClient({ transport: world.transport, allow: [{ host: 'api.example.com' }] });
    const answer = await client
      .send({ url })
      .then(readBytes)
      .catch(({ code }) => code);
    expect(['the right one', 'not_allowed', 'bad_input']).toContain(answer.toString());
    for (const connection of world.connections) expect(connection).toBe(`api.example.com ${publicAddress}:80`);
  });

  it('that is public is reached where every host may be', async () => {
    const world = openWorld();
    await world.serve(`http://${publicAddress}`, (_request, response) => response.end('hello'));
    const client = createClient({ transport: world.transport, allow: everything, anyHost: true });
    expect((await readBytes(await client.send({ url: `http://${publicAddress}/` }))).toString()).toBe('hello');
    expect(world.connections).toEqual([`${publicAddress} ${publicAddress}:80`]);
  });

  it('of metadata leads nowhere, even under a rule for private addresses', async () => {
    const { transport, connections } = openWorld();
    const client = createClient({ transport, allow: [{ host: '169.254.169.254', isPrivate: true }] });
    await expect(client.send({ url: 'http://169.254.169.254/latest/' })).rejects.toMatchObject(unreachable);
    expect(connections).toEqual([]);
  });
});

describe('a name', () => {
  it.each([
    [['127.0.0.1']],
    [['10.1.2.3']],
    [['::1']],
    [['169.254.169.254']],
    [['::ffff:127.0.0.1']],
    [['fe80::1%eth0']],
    [['0.0.0.0']],
    [[publicAddress, '127.0.0.1']],
    [['127.0.0.1', publicAddress]],
    [['2606:4700::1111', '::ffff:10.0.0.1']],
    [['not an address']],
  ])('that leads to %j leads nowhere', async (addresses) => {
    const world = openWorld();
    await world.serve('http://rebinds.example.com', (_request, response) => response.end('never'));
    world.names.set('rebinds.example.com', addresses);
    const client = createClient({ transport: world.transport, allow: [{ host: 'rebinds.example.com' }] });
    await expect(client.send({ url: 'http://rebinds.example.com/' })).rejects.toMatchObject(unreachable);
    expect(world.connections).toEqual([]);
  });

  it.each(['localhost', 'sub.localhost', 'LOCALHOST', 'localhost.'])(
    '%s, as this machine really knows it, is private',
    async (name) => {
      const port = await listen('http:', (_request, response) => response.end('never'));
      const transport = openTransport();
      onTestFinished(() => transport.close());
      const client = createClient({ transport, allow: [{ host: '*', ports: [port] }], anyHost: true });
      await expect(client.send({ url: `http://${name}:${port}/` })).rejects.toMatchObject({
        code: expect.stringMatching(/^(not_allowed|unavailable)$/),
        message: expect.not.stringContaining('never'),
      });
    },
  );

  it('whose address changes after the check is connected to at the address that was checked', async () => {
    const world = openWorld();
    await world.serve('http://rebinds.example.com', (_request, response) =>
      response.setHeader('connection', 'close').end('hello'),
    );
    world.names.set('rebinds.example.com', [[publicAddress], ['127.0.0.1'], ['169.254.169.254']]);
    const client = createClient({ transport: world.transport, allow: [{ host: 'rebinds.example.com' }] });
    const send = () => client.send({ url: 'http://rebinds.example.com/' });
    expect((await readBytes(await send())).toString()).toBe('hello');
    // One look-up for one connection: there is nothing between the check and the use.
    expect([world.lookups, world.connections]).toEqual([
      ['rebinds.example.com'],
      [`rebinds.example.com ${publicAddress}:80`],
    ]);
    for (let i = 0; i < 2; i++) await expect(send()).rejects.toMatchObject(unreachable);
    expect([world.lookups.length, world.connections.length]).toEqual([3, 1]);
  });

  it('whose address changes gets nothing through the real connector either', async () => {
    let asked = 0;
    const port = await listen('http:', (_request, response) => {
      asked++;
      response.end('never');
    });
    const answers = [['127.0.0.1'], ['::1'], ['10.0.0.1', '127.0.0.1']];
    const transport = openTransport({ resolve: async () => answers.shift() ?? [] });
    onTestFinished(() => transport.close());
    const client = createClient({ transport, allow: [{ host: 'rebinds.example.com', ports: [port] }] });
    for (let i = 0; i < 3; i++) {
      await expect(client.send({ url: `http://rebinds.example.com:${port}/` })).rejects.toMatchObject(unreachable);
    }
    expect(asked).toBe(0);
  });

  it('to whose private address one client has a connection gives none of it to another client', async () => {
    const world = openWorld();
    await world.serve('http://intranet.example.com', (_request, response) => response.end('inside'));
    world.names.set('intranet.example.com', ['10.0.0.5']);
    const insider = createClient({
      transport: world.transport,
      allow: [{ host: 'intranet.example.com', isPrivate: true }],
    });
    const outsider = createClient({ transport: world.transport, allow: everything, anyHost: true });
    const request = { url: 'http://intranet.example.com/' };
    expect((await readBytes(await insider.send(request))).toString()).toBe('inside');
    await expect(outsider.send(request)).rejects.toMatchObject(unreachable);
    expect((await readBytes(await insider.send(request))).toString()).toBe('inside');
  });
});

describe('a redirect of an allowed host', () => {
  it.each([
    ...[
      'http://169.254.169.254/latest/meta-data/iam/',
      'http://2852039166/',
      'http://[::ffff:a9fe:a9fe]/',
      '//169.254.169.254/',
    ],
    ...[
      'http://127.0.0.1:6379/',
      'http://localhost:8080/',
      'http://[::1]/',
      'http://10.0.0.1/',
      'http://0/',
      'https://evil.com/',
    ],
    ...[
      'http://metadata.google.internal/',
      'https://api.example.com:22/',
      'http://api.example.com.evil.com/',
      '\\\\127.0.0.1\\',
    ],
  ])('to %s goes nowhere', async (location) => {
    const world = openWorld();
    world.names
      .set('localhost', ['127.0.0.1'])
      .set('metadata.google.internal', ['169.254.169.254'])
      .set('evil.com', [publicAddress]);
    await world.serve('https://api.example.com', (_request, response) => response.writeHead(302, { location }).end());
    const client = createClient({ transport: world.transport, allow: [{ host: 'api.example.com' }] });
    await expect(client.send({ url: 'https://api.example.com/' })).rejects.toMatchObject({ code: 'not_allowed' });
    expect(world.connections).toEqual([`api.example.com ${publicAddress}:443`]);
  });

  it.each([
    'http://169.254.169.254/',
    'http://127.0.0.1/',
    'http://metadata.google.internal/',
    'http://[fd00:ec2::254]/',
  ])('to %s goes nowhere, also where every host may be reached', async (location) => {
    const world = openWorld();
    world.names.set('metadata.google.internal', ['169.254.169.254']);
    await world.serve('https://api.example.com', (_request, response) => response.writeHead(307, { location }).end());
    const client = createClient({ transport: world.transport, allow: everything, anyHost: true });
    await expect(client.send({ url: 'https://api.example.com/' })).rejects.toMatchObject(unreachable);
    expect(world.connections).toHaveLength(1);
  });

  it.each([
    'file:///etc/passwd',
    'gopher://127.0.0.1/',
    'data:text/plain,x',
    'javascript:1',
    'https://me:pass@api.example.com/',
    `/${'a'.repeat(10_000)}`,
    'http://[::1',
  ])('to %s is no place to send anything', async (location) => {
    const world = openWorld();
    await world.serve('https://api.example.com', (_request, response) => response.writeHead(302, { location }).end());
    const client = createClient({ transport: world.transport, allow: everything, anyHost: true });
    await expect(client.send({ url: 'https://api.example.com/' })).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringMatching(/^api\.example\.com redirects to where nothing can be sent\. /),
    });
    expect(world.connections).toHaveLength(1);
  });
});

describe('headers', () => {
  it.each([
    ['a line break in a value', { 'x-a': 'b\r\nx-injected: 1' }],
    ['a line feed in a value', { 'x-a': 'b\nx-injected: 1' }],
    ['a return in a value', { 'x-a': 'b\rx-injected: 1' }],
    ['a whole request in a value', { 'x-a': 'b\r\n\r\nGET /admin HTTP/1.1\r\nhost: intranet\r\n\r\n' }],
    ['a zero byte', { 'x-a': 'b\0c' }],
    ['a letter that becomes a line break when it is cut to one byte', { 'x-a': 'b\u010d\u010ax-injected: 1' }],
    ['a line break in a name', { 'x-a\r\nx-injected': '1' }],
    ['a colon in a name', { 'x-a: 1\r\nx': '1' }],
    ['a blank in a name', { 'transfer-encoding ': 'chunked' }],
    ['no name', { '': '1' }],
    ['a name in another script', { ｈost: 'intranet' }],
    ['another host', { host: 'intranet.example.com' }],
    ['another host in capitals', { HOST: 'intranet.example.com' }],
    ['chunks', { 'Transfer-Encoding': 'chunked' }],
    ['a length of its own', { 'content-length': '0' }],
    ['a connection of its own', { connection: 'upgrade, host' }],
    ['an upgrade', { upgrade: 'websocket' }],
    ['an expectation', { expect: '100-continue' }],
    ['trailers', { te: 'trailers' }],
    ['a password for a proxy', { 'proxy-authorization': 'Basic x' }],
    ['one header twice', { 'X-A': '1', 'x-a': '2' }],
    ['too many', Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`x-${i}`, '1']))],
    ['too much', { 'x-a': 'a'.repeat(17_000) }],
    ['a name without end', { [`x-${'a'.repeat(300)}`]: '1' }],
    ['a value that is no text', { 'x-a': ['1', '2'] }],
  ])('with %s are not sent', async (_what, headers) => {
    const world = openWorld();
    await world.serve('http://api.example.com', (_request, response) => response.end());
    const client = createClient({ transport: world.transport, allow: [{ host: 'api.example.com' }] });
    const url = 'http://api.example.com/';
    for (const request of [
      { url, headers },
      { url, credentials: headers },
    ]) {
      const sent = client.send(request as { url: string });
      await expect(sent).rejects.toMatchObject({ code: 'bad_input', message: expect.stringMatching(/header/) });
    }
    const twice = client.send({ url, headers: { 'x-a': '1' }, credentials: { 'X-A': '2' } });
    await expect(twice).rejects.toMatchObject({ code: 'bad_input', message: expect.stringContaining('twice') });
    expect(world.connections).toEqual([]);
  });

  it('never stand in an error with their value', async () => {
    const { transport } = openWorld();
    const client = createClient({ transport, allow: [{ host: 'api.example.com' }] });
    const error = await client
      .send({ url: 'https://api.example.com/', headers: { 'x-key': 'hunter2\n' } })
      .catch(JSON.stringify);
    expect(error).not.toContain('hunter2');
  });

  it('in an URL are part of its path', async () => {
    const world = openWorld();
    const seen: (string | undefined)[] = [];
    await world.serve('http://api.example.com', (request, response) => {
      seen.push(request.url, request.headers['x-injected'] as string | undefined);
      response.end();
    });
    const client = createClient({ transport: world.transport, allow: [{ host: 'api.example.com' }] });
    await readBytes(await client.send({ url: 'http://api.example.com/a%0d%0ax-injected: 1?b=\r\nc d' }));
    expect(seen).toEqual(['/a%0d%0ax-injected:%201?b=c%20d', undefined]);
  });
});

describe('many connections', () => {
  it('to one server are bounded, whatever is asked at once', async () => {
    const world = openWorld({ maxConnections: 3, maxAtOnce: 20 });
    let [open, most] = [0, 0];
    await world.serve('https://api.example.com', (_request, response) => {
      most = Math.max(most, ++open);
      setTimeout(() => {
        open--;
        response.end('ok');
      }, 10);
    });
    const client = createClient({ transport: world.transport, allow: [{ host: 'api.example.com' }] });
    const answers = await Promise.all(
      Array.from({ length: 30 }, () =>
        client
          .send({ url: 'https://api.example.com/' })
          .then(readBytes)
          .catch(({ code }) => code),
      ),
    );
    expect(answers.filter((answer) => answer === 'busy')).toHaveLength(10);
    expect(answers.filter((answer) => String(answer) === 'ok')).toHaveLength(20);
    expect(most).toBeLessThanOrEqual(3);
  });
});
