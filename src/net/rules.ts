import { isIP } from 'node:net';

/** One host that may be reached. */
export interface HostRule {
  /** A name (`api.example.com`), names below one (`*.example.com`), an address (`10.0.0.5`, `[::1]`), or `*`. */
  host: string;
  /** All where absent. */
  methods?: readonly string[] | undefined;
  /** The scheme's own port alone where absent: 443 for https, 80 for http. */
  ports?: readonly number[] | undefined;
  /** Its address may be a private one: loopback, link-local, of the local network. */
  isPrivate?: boolean | undefined;
}

/** Methods that a request may have. CONNECT and TRACE would make a server a proxy or an echo. */
export const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;

interface RulePolicy {
  /** Whether `*` may stand for every host. */
  anyHost?: boolean | undefined;
}

/** What is wrong with a rule, in words that name it; undefined when it can be used. */
export function ruleProblem(
  { host, methods: some, ports, isPrivate }: HostRule,
  policy: RulePolicy = {},
): string | undefined {
  const problem = hostProblem(host, policy);
  if (problem) return problem;
  const strange = some?.find((method) => !(methods as readonly string[]).includes(method));
  if (strange !== undefined) return `${host}: ${JSON.stringify(strange)} is no method; use ${methods.join(', ')}`;
  const wrong = ports?.find((port) => !Number.isInteger(port) || port < 1 || port > 65_535);
  if (wrong !== undefined) return `${host}: ${wrong} is no port; use a whole number from 1 to 65535`;
  return host === '*' && isPrivate ? 'a private address must be allowed for a host by its name, not for *' : undefined;
}

/** What is wrong with the host of a rule; undefined when it can be used. */
export function hostProblem(host: string, { anyHost = false }: RulePolicy = {}): string | undefined {
  if (host === '*')
    return anyHost ? undefined : 'every host (*) is allowed only where the policy says so; name the hosts';
  const name = host.startsWith('*.') ? host.slice(2) : host;
  const url = URL.canParse(`http://${name}/`) ? new URL(`http://${name}/`) : undefined;
  const plain = url && hostOf(url);
  if (
    !plain ||
    url.username !== '' ||
    url.port !== '' ||
    url.pathname !== '/' ||
    /[*@/:?#\s]/.test(name.replace(/^\[.*\]$/, ''))
  ) {
    return `${JSON.stringify(host)} is no host; use a name such as api.example.com, without scheme, port and path`;
  }
  if (plain !== name) return `${JSON.stringify(host)} is written ${JSON.stringify(host.replace(name, plain))}`;
  if (name === host) return undefined;
  const isTooWide = !name.includes('.') || isAddress(name);
  return isTooWide ? `${host} is too wide; at least two names must follow the *, as in *.example.com` : undefined;
}

/** The host of an address as rules name it: in lower case and ASCII, addresses in their usual form, no dot at the end. */
export const hostOf = (url: URL): string => url.hostname.replace(/\.$/, '');

/** The host of an address with its port, when that is not the scheme's own. */
export const placeOf = (url: URL): string => hostOf(url) + (url.port && `:${url.port}`);

/** The port of an address, also when it is the scheme's own. */
export const portOf = (url: URL): number => Number(url.port) || (url.protocol === 'https:' ? 443 : 80);

const isAddress = (host: string): boolean => isIP(host.replace(/^\[(.*)\]$/, '$1')) !== 0;

/** True when a rule's host stands for this host. */
export function matchesHost(pattern: string, host: string): boolean {
  if (pattern === '*' || pattern === host) return true;
  return (
    pattern.startsWith('*.') && !isAddress(host) && host.endsWith(pattern.slice(1)) && host.length > pattern.length - 1
  );
}

type Verdict = { isAllowed: true; isPrivate: boolean } | { isAllowed: false; why: string };

/** Whether some rule lets a request go to an address by a method, or what none allows. */
export function judge(rules: readonly HostRule[], url: URL, method: string): Verdict {
  const host = hostOf(url);
  const known = rules.filter((rule) => matchesHost(rule.host, host));
  if (known.length === 0) return { isAllowed: false, why: `${host} is none of the hosts that may be reached` };
  const port = portOf(url);
  const open = known.filter(({ ports }) => (ports ? ports.includes(port) : url.port === ''));
  if (open.length === 0) return { isAllowed: false, why: `Port ${port} of ${host} may not be reached` };
  const fit = open.filter(({ methods: some }) => some?.includes(method) ?? true);
  if (fit.length === 0) return { isAllowed: false, why: `${method} may not be sent to ${host}` };
  return { isAllowed: true, isPrivate: fit.some((rule) => rule.isPrivate === true) };
}

/** The rules in one line, for hints. */
export const describeRules = (rules: readonly HostRule[]): string =>
  rules.length === 0 ? 'none' : rules.map(describeRule).join(', ');

function describeRule({ host, methods: some, ports }: HostRule): string {
  const place = ports ? `${host}:${ports.join('|')}` : host;
  return some ? `${place} (${some.join(', ')})` : place;
}
