import { isCovered } from '../code/hosts.ts';
import { type Capabilities, type NetCapability, type Reach, type Risk, risks } from '../contracts.ts';
import { isSameJson } from '../json.ts';

const order = ['none', 'read', 'write'] as const;
const readingMethods: readonly string[] = ['GET', 'HEAD', 'OPTIONS'];

export const noReach: Reach = Object.freeze({ net: [], secrets: [], files: 'none' });

export const isNoReach = ({ net, secrets, files }: Reach): boolean =>
  net.length === 0 && secrets.length === 0 && files === 'none';

/** What two of them reach together, each thing once. */
export function joinReach(a: Reach, b: Reach): Reach {
  return {
    net: joinLists(a.net, b.net),
    secrets: joinLists(a.secrets, b.secrets),
    files: order.indexOf(a.files) >= order.indexOf(b.files) ? a.files : b.files,
  };
}

const joinLists = <T>(a: readonly T[], b: readonly T[]): T[] => [
  ...a,
  ...b.filter((one) => !a.some((other) => isSameJson(one, other))),
];

/** The riskier of two. */
export const riskier = (a: Risk, b: Risk): Risk => (risks.indexOf(a) >= risks.indexOf(b) ? a : b);

/** How much harm a reach can do: any host is the most; to send data away, one host and one GET are enough, but known. */
export function reachRisk({ net, secrets, files }: Reach): Risk {
  if (net.some(({ host }) => host === '*')) return 'open_network';
  if (secrets.length > 0) return 'secrets';
  if (files === 'write' || net.some(({ methods }) => !methods || !isReading(methods))) return 'writes';
  return files === 'read' || net.length > 0 ? 'reads' : 'none';
}

const isReading = (methods: readonly string[]): boolean => methods.every((method) => readingMethods.includes(method));

/** What one version may do beside computing, in plain words, one line each. */
export interface ReachChange {
  added: string[];
  removed: string[];
  kept: string[];
}

type Granted = Pick<Capabilities, 'tools'> & Reach;

/** What `after` may do that `before` may not, and the other way round. */
export function compareReach(before: Granted, after: Granted): ReachChange {
  const isIn = (all: Granted) => (line: Line) => line.isIn(all);
  const [old, now] = [linesOf(before), linesOf(after)];
  return {
    added: now.filter((line) => !isIn(before)(line)).map(({ text }) => text),
    removed: old.filter((line) => !isIn(after)(line)).map(({ text }) => text),
    kept: now.filter(isIn(before)).map(({ text }) => text),
  };
}

interface Line {
  text: string;
  isIn(all: Granted): boolean;
}

function linesOf({ net, secrets, files, tools }: Granted): Line[] {
  return [
    ...net.map((entry) => ({ text: netWords(entry), isIn: (all: Granted) => isCovered(all.net, entry) })),
    ...secrets.map((secret) => ({
      text: `has the secret ${secret.name} put into the header ${secret.header} of requests to ${secret.host}, over https`,
      isIn: (all: Granted) => all.secrets.some((other) => isSameJson(other, secret)),
    })),
    ...(files === 'none' ? [] : [filesLine(files)]),
    ...tools.map(({ name }) => ({
      text: `calls the tool ${name}`,
      isIn: (all: Granted) => all.tools.some((tool) => tool.name === name),
    })),
  ];
}

const filesLine = (files: 'read' | 'write'): Line => ({
  text: files === 'read' ? 'reads the files of its workspace' : 'reads and writes the files of its workspace',
  isIn: (all) => order.indexOf(all.files) >= order.indexOf(files),
});

function netWords({ host, methods, ports }: NetCapability): string {
  const what = methods ? `${methods.join(', ')} requests` : 'any request';
  const where = host === '*' ? 'any host' : host.startsWith('*.') ? `any sub-domain of ${host.slice(2)}` : host;
  return `sends ${what} to ${where}${ports ? ` on port ${ports.join(', ')}` : ''}`;
}

/** What a reviewer of anything that sends requests is to know. */
export const exitWarning = 'An allowed host is itself an exit: whatever the code is given can be sent there.';
