import type { Finding, NetCapability, ToolCapability } from '../contracts.ts';
import { shortText } from '../text/clean.ts';
import type { Declared } from './capabilities.ts';
import type { Request } from './fetch-use.ts';
import { isCovered } from './hosts.ts';
import type { Place } from './place.ts';
import type { NamedTool, Uses } from './uses.ts';

const usualPorts: readonly number[] = [80, 443];

/** Compares what a source reaches for with what it declares: an error for more, a warning for less. */
export function compareUses(uses: Uses, declared: Declared): Finding[] {
  return [
    ...undeclaredRequests(uses, declared),
    ...unusedHosts(uses, declared),
    ...compareSecrets(uses, declared),
    ...compareFiles(uses, declared),
    ...(declared.tools ? compareTools(uses.tools, declared.tools) : []),
  ];
}

function undeclaredRequests({ requests }: Uses, { net }: Declared): Finding[] {
  return requests.flatMap((request) => {
    const { host, problem } = request;
    if (problem !== undefined)
      return [undeclared('bad_address', request, problem, 'Write an https address of its host.')];
    if (host !== undefined) return isAllowed(net, request) ? [] : [undeclaredRequest(request, host)];
    if (net.length > 0) return [];
    const remedy = 'Declare where it may go: capabilities: { net: ["api.example.com"] }.';
    return [undeclared('undeclared_net', request, 'the source does not say to which host this request goes', remedy)];
  });
}

function undeclaredRequest(request: Request & Place, host: string): Finding {
  const { method, port } = request;
  const place = port === undefined || usualPorts.includes(port) ? host : `${host}:${port}`;
  const wanted = method === undefined ? place : `${method} ${place}`;
  const remedy = `Declare it: capabilities: { net: ["${shortText(wanted, 300)}"] }.`;
  return undeclared('undeclared_net', request, `a request to ${shortText(wanted, 300)} is not declared`, remedy);
}

const isAllowed = (net: readonly NetCapability[], request: Request): boolean => isCovered(net, asCapability(request));

/** A request as the least capability that allows it; a method that the source does not say is left to the call. */
function asCapability({ host = '', port = 443, method }: Request): NetCapability {
  return { host, ports: [port], methods: method === undefined ? [] : [method] };
}

function unusedHosts({ requests }: Uses, { net }: Declared): Finding[] {
  if (requests.some(({ host, problem }) => host === undefined && problem === undefined)) return [];
  return net
    .filter((entry) => !requests.some((request) => isAllowed([entry], request)))
    .map(({ host }) => unused('net', `no request goes to ${host}`));
}

function compareSecrets({ secrets }: Uses, declared: Declared): Finding[] {
  const missing = secrets.filter(({ name }) => !declared.secrets.some((one) => one.name === name));
  const idle = declared.secrets.filter(({ name }) => !secrets.some((one) => one.name === name));
  return [
    ...missing.map((use) => {
      const remedy = `Declare it with the host it goes to: capabilities: { secrets: ["${use.name}@api.example.com"] }.`;
      return undeclared('undeclared_secret', use, `the secret ${use.name} is not declared`, remedy);
    }),
    ...idle.map(({ name }) => unused('secrets', `no text names {{secret:${name}}}`)),
  ];
}

function compareFiles({ files }: Uses, declared: Declared): Finding[] {
  const writes = files.find(({ access }) => access === 'write');
  const [first] = writes ? [writes] : files;
  const needed = first?.access ?? 'none';
  const order = ['none', 'read', 'write'] as const;
  const missing = order.indexOf(needed) - order.indexOf(declared.files);
  if (first && missing > 0) {
    const what = needed === 'write' ? 'writing files is not declared' : 'reading files is not declared';
    return [undeclared('undeclared_files', first, what, `Declare it: capabilities: { files: "${needed}" }.`)];
  }
  if (missing === 0) return [];
  return [unused('files', needed === 'none' ? 'no file is read or written' : 'files are only read')];
}

function compareTools(uses: readonly NamedTool[], tools: readonly ToolCapability[]): Finding[] {
  const missing = uses.filter(({ name }) => !tools.some((tool) => tool.name === name));
  const idle = tools.filter(({ name }) => !uses.some((use) => use.name === name));
  return [
    ...missing.map((use) => {
      const name = shortText(use.name);
      return undeclared('undeclared_tool', use, `${name} is not declared`, `Add "${name}" to capabilities.tools.`);
    }),
    ...uses.flatMap((use) => otherRange(use, tools)),
    ...idle.map(({ name }) => unused('tools', `${shortText(name)} is not called`)),
  ];
}

function otherRange(use: NamedTool, tools: readonly ToolCapability[]): Finding[] {
  const declared = tools.find(({ name }) => name === use.name)?.range ?? '*';
  if (use.range === undefined || declared === '*' || declared === use.range) return [];
  const [name, range] = [shortText(use.name), shortText(use.range)];
  const problem = `${name} is called as ${range} and declared as ${shortText(declared)}`;
  return [undeclared('two_ranges', use, problem, 'Use one range for each tool.')];
}

const undeclared = (rule: string, { line, column }: Place, problem: string, remedy: string): Finding => ({
  rule,
  severity: 'error',
  where: 'code',
  line,
  column,
  message: `line ${line}: ${problem}`,
  remedy,
});

const unused = (field: string, problem: string): Finding => ({
  rule: 'unused_capability',
  severity: 'warning',
  where: `capabilities.${field}`,
  message: `capabilities.${field} grants more than the code uses: ${problem}`,
  remedy: 'Take it out; a reviewer need not grant what nothing uses.',
});
