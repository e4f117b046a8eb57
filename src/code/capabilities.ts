import { validRange } from 'semver';
import type { Finding, NetCapability, Reach, SecretCapability, ToolCapability } from '../contracts.ts';
import { shortText } from '../text/clean.ts';
import { httpMethods, isCovered, readHost } from './hosts.ts';

/** What an author says that the code may reach; `GET api.github.com` stands for `{ host, methods }`, and so on. */
export interface Declaration {
  net?: readonly (string | NetDraft)[] | undefined;
  secrets?: readonly (string | SecretDraft)[] | undefined;
  tools?: readonly string[] | undefined;
  files?: Reach['files'] | undefined;
}

interface NetDraft {
  host: string;
  methods?: readonly string[] | undefined;
  ports?: readonly number[] | undefined;
}

interface SecretDraft {
  name: string;
  host?: string | undefined;
  header?: string | undefined;
}

/** A declaration in its one canonical form. `tools` is absent where the author leaves it to the source. */
export interface Declared extends Reach {
  tools?: ToolCapability[];
}

const usualHeader = 'authorization';
const netForm =
  /^(?:(?<methods>[A-Za-z]+(?:,[A-Za-z]+)*) +)?(?<host>\[[^\s[\]]+\]|[^\s:/[\]]+)(?::(?<ports>\d+(?:,\d+)*))?$/;
const secretForm = /^(?<name>[^\s@:]+)(?:@(?<host>(?:\[[^\s[\]]+\]|[^\s@:]+)(?::\d{1,5})?))?(?::(?<header>[^\s@:]+))?$/;
const placeForm = /^(\[[^\]]*\]|[^:]*)(?::(\d{1,5}))?$/;
const secretName = /^[A-Z][A-Z0-9_]{0,63}$/;
const headerName = /^[a-z0-9!#$%&'*+.^_`|~-]{1,64}$/;
/** Headers by which a request would be read as another one than the host process meant to send. */
const framingHeaders: readonly string[] = [
  ...['host', 'connection', 'content-length', 'expect', 'keep-alive', 'te', 'trailer', 'transfer-encoding', 'upgrade'],
  ...['proxy-authenticate', 'proxy-authorization', 'proxy-connection'],
];

/** Reads a declaration; what is wrong with it comes as findings, all at once. `*` is any host, where `allowAnyHost`. */
export function readCapabilities(
  declaration: Declaration,
  { allowAnyHost }: { allowAnyHost: boolean },
): { declared: Declared; findings: Finding[] } {
  const findings: Finding[] = [];
  const keep = <T>(read: T | Finding): T[] => {
    if (!isFinding(read)) return [read];
    findings.push(read);
    return [];
  };
  const { files = 'none' } = declaration;
  const entries = declaration.net ?? [];
  const net = joinNet(entries.flatMap((entry, i) => keep(readNet(`capabilities.net[${i}]`, entry, allowAnyHost))));
  const named = declaration.secrets ?? [];
  // With a host that could not be read, a secret would only be told what its host was told before.
  const isWhole = findings.length === 0;
  const secrets = named.flatMap((entry, i) => {
    const read = readSecret(`capabilities.secrets[${i}]`, entry, net);
    return isWhole ? keep(read) : isFinding(read) ? [] : [read];
  });
  const tools = declaration.tools?.flatMap((text, i) => keep(readTool(`capabilities.tools[${i}]`, text)));
  return { declared: { net, secrets: unique(secrets), files, ...(tools && { tools: unique(tools) }) }, findings };
}

function readNet(where: string, entry: string | NetDraft, allowAnyHost: boolean): NetCapability | Finding {
  const draft = typeof entry === 'string' ? splitNet(entry) : entry;
  if (!draft) {
    const remedy =
      'Write api.example.com, GET api.example.com, *.example.com or api.example.com:8443; no scheme, no path.';
    return refuse(where, 'net_form', `is not a host: "${shortText(String(entry))}"`, remedy);
  }
  const read = readHost(draft.host);
  if ('problem' in read) {
    return refuse(where, 'net_form', `"${shortText(draft.host)}" ${read.problem}`, 'Write the host as DNS has it.');
  }
  if (read.host === '*' && !allowAnyHost) {
    const remedy = 'Name the hosts. Who runs ToolWeaver can allow any host: TOOLWEAVER_ALLOW_ANY_HOST=true.';
    return refuse(where, 'any_host', 'is any host, which is not allowed here', remedy);
  }
  const methods = draft.methods?.map((method) => method.toUpperCase());
  const unknown = methods?.find((method) => !httpMethods.includes(method));
  if (unknown !== undefined)
    return refuse(
      where,
      'net_form',
      `has an unknown method: "${shortText(unknown)}"`,
      `Use ${httpMethods.join(', ')}.`,
    );
  const bad = draft.ports?.find((port) => !Number.isInteger(port) || port < 1 || port > 65_535);
  if (bad !== undefined)
    return refuse(where, 'net_form', `has a port that there is not: ${bad}`, 'Ports are 1 to 65535.');
  return canonicalNet({ host: read.host, ...some('methods', methods), ...some('ports', draft.ports) });
}

function splitNet(text: string): NetDraft | undefined {
  const parts = netForm.exec(text.trim())?.groups;
  if (parts?.host === undefined || httpMethods.includes(parts.host.toUpperCase())) return undefined;
  const { host, methods, ports } = parts;
  return { host, ...some('methods', methods?.split(',')), ...some('ports', ports?.split(',').map(Number)) };
}

/** The list under its name, or nothing where it is absent or empty. */
const some = <K extends string, T>(key: K, list: readonly T[] | undefined): { [key in K]?: T[] } =>
  list === undefined || list.length === 0 ? {} : ({ [key]: [...list] } as { [key in K]: T[] });

const canonicalNet = ({ host, methods, ports }: NetCapability): NetCapability => ({
  host,
  ...(methods && { methods: [...new Set(methods)].sort() }),
  ...(ports && { ports: [...new Set(ports)].sort((a, b) => a - b) }),
});

/** One entry for each host and set of ports. */
function joinNet(entries: readonly NetCapability[]): NetCapability[] {
  const joined = new Map<string, NetCapability>();
  for (const entry of entries) {
    const key = `${entry.host} ${entry.ports?.join() ?? ''}`;
    const before = joined.get(key);
    const { methods, ...rest } = entry;
    const isAny = methods === undefined || (before !== undefined && before.methods === undefined);
    joined.set(key, canonicalNet({ ...rest, ...(!isAny && { methods: [...(before?.methods ?? []), ...methods] }) }));
  }
  return [...joined].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => entry);
}

function readSecret(
  where: string,
  entry: string | SecretDraft,
  net: readonly NetCapability[],
): SecretCapability | Finding {
  const draft = typeof entry === 'string' ? (secretForm.exec(entry.trim())?.groups as SecretDraft | undefined) : entry;
  const refuseForm = (
    problem: string,
    remedy = 'Write NAME, NAME@api.example.com or NAME@api.example.com:x-api-key.',
  ) => refuse(where, 'secret_form', problem, remedy);
  if (!draft) return refuseForm(`does not name a secret: "${shortText(String(entry))}"`);
  const { name, header = usualHeader } = draft;
  if (!secretName.test(name))
    return refuseForm(`"${shortText(name)}" is no name of a secret`, 'Names are in capitals, such as GITHUB_TOKEN.');
  const wanted = draft.host ?? (net.length === 1 ? onlyPlace(net[0]) : undefined);
  if (wanted === undefined)
    return refuseForm(
      `${name} needs a host that it goes to`,
      `Write ${name}@api.example.com, and name that host in net.`,
    );
  const [, hostText = '', port = 443] = placeForm.exec(wanted) ?? [];
  const read = readHost(hostText);
  if ('problem' in read || read.host.startsWith('*'))
    return refuseForm(`${name} must go to one host, not to "${shortText(wanted)}"`, `Write ${name}@api.example.com.`);
  const place = Number(port) === 443 ? read.host : `${read.host}:${Number(port)}`;
  if (!isCovered(net, { host: read.host, ports: [Number(port)], methods: [] }))
    return refuseForm(`${name} goes to ${place}, which net does not name`, `Add "${place}" to net.`);
  const lower = header.toLowerCase();
  if (!headerName.test(lower) || framingHeaders.includes(lower))
    return refuseForm(
      `${name} cannot go into the header "${shortText(header)}"`,
      'Use authorization, or one such as x-api-key.',
    );
  return { name, host: place, header: lower };
}

/** Where the requests of one entry go, when that is one place. */
const onlyPlace = (entry: NetCapability | undefined): string | undefined =>
  entry && (entry.ports?.length === 1 ? `${entry.host}:${entry.ports[0]}` : entry.host);

function readTool(where: string, text: string): ToolCapability | Finding {
  const at = text.indexOf('@', 1);
  const name = at < 0 ? text : text.slice(0, at);
  const range = at < 0 ? '*' : text.slice(at + 1);
  if (/^[^\s@]+$/.test(name) && validRange(range) !== null) return { name, range };
  return refuse(where, 'tool_form', `names no tool: "${shortText(text)}"`, 'Write csv_summary or csv_summary@^1.');
}

/** Each once, in the order of their canonical texts. */
const unique = <T>(items: readonly T[]): T[] =>
  [...new Map(items.map((item) => [JSON.stringify(item), item]))]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, one]) => one);

const isFinding = (value: unknown): value is Finding =>
  typeof value === 'object' && value !== null && 'severity' in value;

const refuse = (where: string, rule: string, problem: string, remedy: string): Finding => ({
  rule,
  severity: 'error',
  where,
  message: `${where} ${problem}`,
  remedy,
});
