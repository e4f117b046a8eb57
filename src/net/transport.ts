import { lookup } from 'node:dns/promises';
import { isIP, type LookupFunction } from 'node:net';
import type { Agent, buildConnector, Dispatcher } from 'undici';
import { WeaverError } from '../errors.ts';
import { addressKind } from './address.ts';

/** Addresses of a host, as the name server gives them now. */
export type Resolve = (host: string) => Promise<readonly string[]>;

/** Makes what opens connections; undici's own where absent. Tests put a recorder in its place. */
export type MakeConnector = (options: ConnectorOptions) => buildConnector.connector;

interface ConnectorOptions {
  timeout: number;
  /** Gives checked addresses only, or the error of one that may not be. */
  lookup: LookupFunction;
  autoSelectFamily: boolean;
  ca?: string;
}

interface TransportOptions {
  resolve?: Resolve | undefined;
  makeConnector?: MakeConnector | undefined;
  /** Certificates (PEM) that are trusted instead of those that Node trusts. */
  ca?: string | undefined;
  connectTimeoutMs?: number | undefined;
  /** Connections to one origin. */
  maxConnections?: number | undefined;
  /** Requests under way, to all origins together. */
  maxAtOnce?: number | undefined;
}

interface Sent {
  url: URL;
  /** Whether the host may be at a private address. */
  isPrivate: boolean;
  method: Dispatcher.HttpMethod;
  headers: Record<string, string>;
  body: string | Uint8Array | undefined;
  headersTimeoutMs: number;
  idleTimeoutMs: number;
  signal: AbortSignal;
}

/** Connections to the world, kept alive for a while and shared by all clients. */
export interface Transport {
  /**
   * Sends one request and waits for the headers of its answer. The caller reads or destroys the body.
   * @throws WeaverError `not_allowed` for an address that no request may go to; whatever undici throws.
   */
  send(request: Sent): Promise<Dispatcher.ResponseData>;
  /** Takes one of the places for requests under way, and gives what frees it. @throws WeaverError `busy`. */
  enter(): () => void;
  close(): Promise<void>;
}

const keepAliveMs = 10_000;
const maxHeaderBytes = 32_768;
const maxOrigins = 500;

/** Opens the pools of connections; nothing is loaded or connected before the first request. */
export function openTransport(options: TransportOptions = {}): Transport {
  const { maxAtOnce = 64 } = options;
  // Apart, so that a connection which one client may have to a private address is never lent to another.
  const agents = new Map<boolean, Promise<Agent>>();
  let underWay = 0;
  const agentFor = (isPrivate: boolean): Promise<Agent> => {
    const agent = agents.get(isPrivate) ?? createAgent(options, isPrivate);
    agents.set(isPrivate, agent);
    return agent;
  };
  return {
    async send({ url, isPrivate, headersTimeoutMs, idleTimeoutMs, ...request }) {
      const dispatcher = await agentFor(isPrivate);
      return dispatcher.request({
        ...request,
        origin: url.origin,
        path: url.pathname + url.search,
        headersTimeout: headersTimeoutMs,
        bodyTimeout: idleTimeoutMs,
      });
    },
    enter() {
      if (underWay >= maxAtOnce) {
        throw new WeaverError('busy', `${maxAtOnce} requests to other servers are under way.`, {
          hint: 'Try again when some have been answered.',
        });
      }
      underWay++;
      let isIn = true;
      return () => {
        if (isIn) underWay--;
        isIn = false;
      };
    },
    async close() {
      for (const agent of agents.values()) await (await agent).destroy();
    },
  };
}

async function createAgent(options: TransportOptions, isPrivate: boolean): Promise<Agent> {
  // In a bundle a CommonJS package that is loaded later has no exports by name.
  const { default: undici } = await import('undici');
  const buildTcp: MakeConnector = (tcp) => undici.buildConnector(tcp as buildConnector.BuildOptions);
  const { resolve = resolveByName, makeConnector = buildTcp } = options;
  const connector = makeConnector({
    timeout: options.connectTimeoutMs ?? 10_000,
    // What was checked is what is connected to: the same answer of the name server serves both.
    lookup: checkedLookup(resolve, isPrivate),
    autoSelectFamily: true,
    ...(options.ca !== undefined && { ca: options.ca }),
  });
  return new undici.Agent({
    connections: options.maxConnections ?? 16,
    maxOrigins,
    keepAliveTimeout: keepAliveMs,
    keepAliveMaxTimeout: keepAliveMs,
    maxHeaderSize: maxHeaderBytes,
    connect(target, done) {
      // Node asks for no lookup of what is an address already.
      const refused = isIP(target.hostname) === 0 ? undefined : refusal(target.hostname, [target.hostname], isPrivate);
      if (refused) done(refused, null);
      else connector(target, done);
    },
  });
}

const resolveByName: Resolve = async (host) => (await lookup(host, { all: true })).map(({ address }) => address);

const checkedLookup =
  (resolve: Resolve, isPrivate: boolean): LookupFunction =>
  (host, _options, done) => {
    resolve(host).then(
      (addresses) => {
        const refused = refusal(host, addresses, isPrivate);
        if (refused) return done(refused, []);
        done(
          null,
          addresses.map((address) => ({ address, family: isIP(address) })),
        );
      },
      (error: NodeJS.ErrnoException) => done(error, []),
    );
  };

// One bad address among good ones is reason enough: an honest name does not lead to both.
function refusal(host: string, addresses: readonly string[], isPrivate: boolean): WeaverError | undefined {
  if (addresses.length === 0) return new WeaverError('unavailable', `The name server knows no address of ${host}.`);
  const kinds = new Set(addresses.map(addressKind));
  if (kinds.has('never'))
    return notAllowed(host, 'an address that no request may go to (metadata, reserved, multicast)');
  if (kinds.has('private') && !isPrivate)
    return notAllowed(host, 'a private address (loopback, link-local or local network)');
  return undefined;
}

const notAllowed = (host: string, where: string): WeaverError =>
  new WeaverError('not_allowed', `${host} is at ${where}.`, {
    hint: 'Requests go to public addresses. A host at a private one must be named as such by whoever runs this server.',
  });
