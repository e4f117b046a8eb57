import { isIPv4 } from 'node:net';
import { WeaverError } from '../errors.ts';

/** What a request says of where it is going and where it comes from. */
interface Claims {
  host: string | undefined;
  origin: string | undefined;
}

export interface GateRules {
  /** Host names by which this server may be called beside its own. */
  hosts: readonly string[];
  /** Origins (`https://app.example.com`) of pages that may call it. */
  origins: readonly string[];
  /** The address that it listens on. */
  boundHost: string;
}

/** Refuses requests that a foreign page could have caused. */
export interface Gate {
  /**
   * A Host that is none of ours (DNS rebinding) is refused, and an Origin that nobody listed, unless it is this server's
   * own. Programs send no Origin and pass.
   * @throws WeaverError `not_allowed`.
   */
  check(claims: Claims): void;
  /** True where a page of that origin may read answers (CORS). */
  isListed(origin: string): boolean;
}

const loopbackNames = ['localhost', '127.0.0.1', '[::1]'];
const everywhere = ['0.0.0.0', '::'];
// A name or address with a port or without, and nothing else that an address may have: no user, no path.
const hostPattern = /^(?:[\w.-]+|\[[\da-f:.]+\])(?::\d{1,5})?$/i;

/** True for an address that only this machine reaches. */
export function isLoopback(host: string): boolean {
  const name = host.replace(/^\[|\]$/g, '').toLowerCase();
  return name === 'localhost' || name === '::1' || (isIPv4(name) && name.startsWith('127.'));
}

/** @throws WeaverError `bad_input` for a listed host that no request could name. */
export function createGate({ hosts, origins, boundHost }: GateRules): Gate {
  const isOnLoopback = isLoopback(boundHost) || everywhere.includes(boundHost);
  const names = new Set([...(isOnLoopback ? loopbackNames : []), boundHost, ...hosts].map(usableName));
  const listed = new Set(origins.map((origin) => new URL(origin).origin));
  return {
    check({ host, origin }) {
      const name = hostNameOf(host);
      if (name === undefined || !names.has(name)) {
        throw new WeaverError('not_allowed', 'This server is not known by the name in the Host header.', {
          hint: 'Call it by the address that it printed, or list the name in httpAllowedHosts (TOOLWEAVER_HTTP_ALLOWED_HOSTS).',
        });
      }
      if (origin === undefined || listed.has(origin) || isSame(origin, host)) return;
      throw new WeaverError('not_allowed', 'Pages of this origin may not call this server.', {
        hint: 'List the origin in httpAllowedOrigins (TOOLWEAVER_HTTP_ALLOWED_ORIGINS).',
      });
    },
    isListed: (origin) => listed.has(origin),
  };
}

function usableName(host: string): string {
  const isBareIPv6 = !host.startsWith('[') && host.indexOf(':') !== host.lastIndexOf(':');
  const name = hostNameOf(isBareIPv6 ? `[${host}]` : host);
  if (name !== undefined) return name;
  throw new WeaverError('bad_input', `${JSON.stringify(host)} is no host name.`, {
    hint: 'Write names as clients call them, such as tools.example.com, in httpAllowedHosts.',
  });
}

// As URLs write it: small letters, IPv6 in its short form, without the port.
function hostNameOf(host: string | undefined): string | undefined {
  if (host === undefined || !hostPattern.test(host) || !URL.canParse(`http://${host}`)) return undefined;
  return new URL(`http://${host}`).hostname;
}

// The server's own pages; the scheme may be that of a proxy before it.
function isSame(origin: string, host: string | undefined): boolean {
  if (!/^https?:/.test(origin) || !URL.canParse(origin)) return false;
  const { protocol, host: place } = new URL(origin);
  return place === new URL(`${protocol}//${host}`).host;
}
