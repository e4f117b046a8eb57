import { isIPv4 } from 'node:net';
import { WeaverError } from '../errors.ts';

/** What a request says of where it is going and where it comes from. */
interface Claims {
  host: string | undefined;
  origin: string | undefined;
}

export interface GateRules {
  /** Host names, without ports, by which this server may be called beside its own. */
  hosts: readonly string[];
  /** Origins (`https://app.example.com`) of pages that may call it. */
  origins: readonly string[];
  /** The address that it listens on. */
  boundHost: string;
}

const loopbackNames = ['localhost', '127.0.0.1', '[::1]'];

/** True for an address that only this machine reaches. */
export function isLoopback(host: string): boolean {
  const name = host.replace(/^\[|\]$/g, '').toLowerCase();
  return name === 'localhost' || name === '::1' || (isIPv4(name) && name.startsWith('127.'));
}

/**
 * Refuses requests that a foreign page could have caused: a Host that is none of ours (DNS rebinding) or an Origin that
 * nobody listed. Programs send no Origin and pass.
 * @throws WeaverError `not_allowed`.
 */
export function checkGate({ host, origin }: Claims, rules: GateRules): void {
  const hostName = host === undefined ? undefined : hostOf(`http://${host}`);
  if (hostName === undefined || !hostNames(rules).has(hostName)) {
    throw new WeaverError('not_allowed', `This server is not known by the name in the Host header.`, {
      hint: 'Call it by the address that it printed, or list the name in httpAllowedHosts (TOOLWEAVER_HTTP_ALLOWED_HOSTS).',
    });
  }
  if (origin === undefined || isListedOrigin(origin, rules) || isOwnOrigin(origin, rules)) return;
  throw new WeaverError('not_allowed', 'Pages of this origin may not call this server.', {
    hint: 'List the origin in httpAllowedOrigins (TOOLWEAVER_HTTP_ALLOWED_ORIGINS).',
  });
}

/** True where a page of that origin may read answers (CORS). */
export const isListedOrigin = (origin: string, { origins }: GateRules): boolean => origins.includes(origin);

function hostNames({ hosts, boundHost }: GateRules): Set<string> {
  const own = isLoopback(boundHost) ? loopbackNames : [bracketed(boundHost)];
  return new Set([...own, ...hosts.map((host) => host.toLowerCase())]);
}

const bracketed = (host: string): string =>
  (host.includes(':') && !host.startsWith('[') ? `[${host}]` : host).toLowerCase();

// The machine's own pages, when only the machine can call: they still need the token.
function isOwnOrigin(origin: string, rules: GateRules): boolean {
  const name = hostOf(origin);
  return name !== undefined && hostNames(rules).has(name) && isLoopback(rules.boundHost);
}

function hostOf(address: string): string | undefined {
  return URL.canParse(address) ? new URL(address).hostname.toLowerCase() : undefined;
}
