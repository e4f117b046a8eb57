import { readFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, createServer as createRawServer, isIP, type Socket } from 'node:net';
import { join } from 'node:path';
import { buildConnector } from 'undici';
import { onTestFinished } from 'vitest';
import { type MakeConnector, openTransport, type Transport } from '../../src/net/transport.ts';
import { packageRoot } from '../../src/package.ts';

const read = (name: string): string => readFileSync(join(packageRoot, 'test/fixtures/net', name), 'utf8');
/** Trusted by the transports of tests. */
export const ca = read('certificate.pem');

/** Somewhere on the internet. No test sends anything there: a recorder stands in the place of the connector. */
export const publicAddress = '93.184.215.14';

/** A whole internet on the loopback interface: names, addresses and servers are made up, all else is real. */
export interface World {
  transport: Transport;
  /** What the name server answers; a list of lists is answered one after the other. */
  names: Map<string, string[] | string[][]>;
  /** Names that were looked up. */
  lookups: string[];
  /** Each connection as it would have been made: `host address:port`. */
  connections: string[];
  /** Lets a server answer at an origin, under a public address unless the name has another. */
  serve(origin: string, handler: RequestListener): Promise<void>;
}

/** Opens a world; it ends with the test. */
export function openWorld(options: Omit<Parameters<typeof openTransport>[0], 'resolve' | 'makeConnector'> = {}): World {
  const [names, ports] = [new Map<string, string[] | string[][]>(), new Map<string, number>()];
  const lookups: string[] = [];
  const connections: string[] = [];
  const makeConnector: MakeConnector = ({ lookup, ...rest }) => {
    const connect = buildConnector(rest as buildConnector.BuildOptions);
    return (target, done) => {
      const port = target.port || (target.protocol === 'https:' ? '443' : '80');
      const goTo = (addresses: readonly string[]): void => {
        connections.push(`${target.hostname} ${addresses.join(',')}:${port}`);
        const here = ports.get(`${target.protocol}//${target.hostname}:${port}`);
        if (here !== undefined) return void connect({ ...target, hostname: '127.0.0.1', port: String(here) }, done);
        done(Object.assign(new Error('nobody is there'), { code: 'ECONNREFUSED' }), null);
      };
      if (isIP(target.hostname) !== 0) return goTo([target.hostname]);
      lookup(target.hostname, { all: true }, (error, found) => {
        if (error) done(error, null);
        else goTo((found as { address: string }[]).map(({ address }) => address));
      });
    };
  };
  const resolve = async (host: string): Promise<string[]> => {
    lookups.push(host);
    const answer = names.get(host);
    if (answer === undefined) throw Object.assign(new Error(`no ${host}`), { code: 'ENOTFOUND' });
    return Array.isArray(answer[0]) ? ((answer as string[][]).shift() ?? []) : (answer as string[]);
  };
  const transport = openTransport({ ca, ...options, resolve, makeConnector });
  onTestFinished(() => transport.close());
  return {
    transport,
    names,
    lookups,
    connections,
    async serve(origin, handler) {
      const url = new URL(origin);
      const port = url.port || (url.protocol === 'https:' ? '443' : '80');
      ports.set(`${url.protocol}//${url.hostname}:${port}`, await listen(url.protocol, handler));
      if (!names.has(url.hostname)) names.set(url.hostname, [publicAddress]);
    },
  };
}

/** A server on a free port of 127.0.0.1 until the test ends; gives its port. */
export async function listen(protocol: string, handler: RequestListener): Promise<number> {
  const tls = { key: read('key.pem'), cert: ca };
  const server: Server = protocol === 'https:' ? createTlsServer(tls, handler) : createServer(handler);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** A listener that says exactly these bytes, once it has been asked something. */
export async function listenRaw(answer: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createRawServer((socket) => {
    sockets.add(socket.on('error', () => {}));
    socket.once('data', () => answer(socket));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}
