import { isIP } from 'node:net';
import { domainToASCII } from 'node:url';
import type { NetCapability } from '../contracts.ts';

export const httpMethods: readonly string[] = ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT'];
const defaultPorts: readonly number[] = [80, 443];
const label = '[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?';
const hostName = new RegExp(`^(?=.{1,253}$)${label}(?:\\.${label})*$`);

const notHost = 'is no host name such as api.example.com';

/** The one way to write a host of `net`, or what is wrong with it. */
export function readHost(text: string): { host: string } | { problem: string } {
  if (text === '*') return { host: '*' };
  // What a URL would cut off or decode is no part of a host.
  if (/[\s/\\?#@%]/.test(text)) return { problem: notHost };
  const isWild = text.startsWith('*.');
  const name = isWild ? text.slice(2) : text;
  const ascii = domainToASCII(name) || name.toLowerCase();
  // URLs take 2130706433, 0x7f.1 and 127.1 for an address as well; a reviewer would not.
  const asAddress = addressOf(name);
  if (asAddress !== undefined) {
    if (isWild) return { problem: 'is an address, which has no sub-domains' };
    return asAddress === name.toLowerCase() ? { host: asAddress } : { problem: `is another way to write ${asAddress}` };
  }
  if (!hostName.test(ascii)) return { problem: notHost };
  if (isWild && !ascii.includes('.')) return { problem: 'covers a whole top-level domain' };
  return { host: isWild ? `*.${ascii}` : ascii };
}

/** The canonical address (IPv6 in brackets) that a URL would take this host for; undefined when it is a name. */
function addressOf(name: string): string | undefined {
  if (!URL.canParse(`http://${name}/`)) return undefined;
  const { hostname } = new URL(`http://${name}/`);
  return isIP(hostname.replace(/^\[|\]$/g, '')) === 0 ? undefined : hostname;
}

/** True when all that `inner` allows is allowed by one of `outer`. */
export const isCovered = (outer: readonly NetCapability[], inner: NetCapability): boolean =>
  outer.some(
    (one) =>
      coversHost(one.host, inner.host) &&
      isSubset(methodsOf(inner), methodsOf(one)) &&
      isSubset(portsOf(inner), portsOf(one)),
  );

/** True when a host, or all that a pattern of hosts stands for, is among those of another pattern. */
export function coversHost(pattern: string, host: string): boolean {
  if (pattern === '*' || pattern === host) return true;
  return pattern.startsWith('*.') && host !== '*' && host.endsWith(pattern.slice(1));
}

const methodsOf = ({ methods }: NetCapability): readonly string[] => methods ?? [...httpMethods, 'any other'];
const portsOf = ({ ports }: NetCapability): readonly number[] => ports ?? defaultPorts;
const isSubset = <T>(inner: readonly T[], outer: readonly T[]): boolean => inner.every((one) => outer.includes(one));
