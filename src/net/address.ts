import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** `public` is the internet, `private` somewhere near that must be allowed by name, `never` what no request may go to. */
export type AddressKind = 'public' | 'private' | 'never';

const near = new Set(['private', 'loopback', 'linkLocal', 'carrierGradeNat', 'uniqueLocal', 'deprecatedSiteLocal']);

// Where clouds hand out the credentials of a machine: nobody who may reach the neighbours wants these with them.
const metadata = new Set(
  [
    ...['169.254.169.254', '169.254.170.2', '169.254.170.23', '100.100.100.200', '168.63.129.16', '192.0.0.192'],
    ...['fd00:ec2::254', 'fd00:ec2::23', 'fd20:ce::254', 'fe80::a9fe:a9fe'],
  ].map((text) => ipaddr.parse(text).toNormalizedString()),
);

const globalUnicast = ipaddr.IPv6.parseCIDR('2000::/3');
const nat64 = ipaddr.IPv6.parseCIDR('64:ff9b::/96');

/**
 * Where an address leads, by the registries of IANA (RFC 6890). `text` is an address as name servers and URLs give it;
 * anything else, short, octal and hexadecimal forms included, is `never`.
 */
export function addressKind(text: string): AddressKind {
  const family = isIP(text);
  if (family === 0) return 'never';
  if (family === 4) return kindOf(ipaddr.IPv4.parse(text));
  const [address = '', zone] = text.split('%');
  const kind = kindOf(ipaddr.IPv6.parse(inHex(address)));
  // A zone names an interface of this machine, which only addresses near it have.
  return zone !== undefined && kind === 'public' ? 'never' : kind;
}

// ipaddr.js takes `::127.0.0.1`, an old form that routes nowhere, for `::ffff:127.0.0.1`.
const inHex = (address: string): string => new URL(`http://[${address}]`).hostname.slice(1, -1);

function kindOf(address: ipaddr.IPv4 | ipaddr.IPv6): AddressKind {
  if (metadata.has(address.toNormalizedString())) return 'never';
  const inner = address instanceof ipaddr.IPv6 ? embedded(address) : undefined;
  if (inner) return kindOf(inner);
  const range = address.range();
  if (near.has(range)) return 'private';
  if (range !== 'unicast') return 'never';
  // What is not assigned yet, and the old forms that carry an IPv4 address in front of zeros.
  return address instanceof ipaddr.IPv4 || address.match(globalUnicast) ? 'public' : 'never';
}

// The IPv4 address that a packet really goes to: `::ffff:10.0.0.1`, and `64:ff9b::10.0.0.1` behind a NAT64.
function embedded(address: ipaddr.IPv6): ipaddr.IPv4 | undefined {
  if (address.isIPv4MappedAddress()) return address.toIPv4Address();
  return address.match(nat64) ? new ipaddr.IPv4(address.toByteArray().slice(-4)) : undefined;
}
