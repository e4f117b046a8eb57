import { byteLength, isRecord } from '../json.ts';
import { rootCombinators } from './definition.ts';
import type { Tool } from './tool.ts';

/** What a host would do to one tool of the list, and why. */
export interface Remark {
  host: string;
  tool: string;
  effect: 'drops' | 'cuts' | 'flattens' | 'warns';
  why: string;
}

export interface LintReport {
  tools: number;
  /** Estimated tokens of every definition together, and of the most expensive ones: a quarter of their bytes. */
  tokens: number;
  costs: { tool: string; tokens: number }[];
  remarks: Remark[];
}

interface HostRules {
  /** What the host sets before each name. */
  prefix: number;
  name: number;
  namePattern: RegExp;
  descriptionBytes?: number;
  tools?: number;
  rootCombinators: 'drops' | 'flattens' | 'takes';
}

const dashed = /^[a-zA-Z0-9_-]+$/;
const serverName = 'toolweaver'.length;

/** What hosts take, as read in their documentation and sources in November 2026 (docs/configuration.md, Hosts). */
const hostRules: Readonly<Record<string, HostRules>> = {
  'Claude Code': {
    prefix: 'mcp__'.length + serverName + 2,
    name: 128,
    namePattern: dashed,
    descriptionBytes: 2_048,
    rootCombinators: 'flattens',
  },
  'Claude API': { prefix: 0, name: 64, namePattern: dashed, tools: 10_000, rootCombinators: 'drops' },
  'VS Code': { prefix: 18, name: 64, namePattern: dashed, tools: 128, rootCombinators: 'takes' },
  Cursor: { prefix: 'mcp_'.length + serverName + 1, name: 64, namePattern: dashed, rootCombinators: 'takes' },
  Codex: { prefix: 'mcp__'.length + serverName + 2, name: 64, namePattern: dashed, rootCombinators: 'takes' },
  'OpenAI API': { prefix: 0, name: 64, namePattern: dashed, tools: 128, rootCombinators: 'drops' },
  'Gemini API': { prefix: 0, name: 64, namePattern: /^[a-zA-Z_][\w.:-]*$/, rootCombinators: 'drops' },
};

const manyTokens = 1_000;
const shownCosts = 10;

type Listed = Pick<Tool, 'name' | 'title' | 'description' | 'input' | 'output' | 'annotations'>;

/** Checks a list of tools against every host's rules, and says what each tool costs of a model's context. */
export function lintTools(tools: readonly Listed[]): LintReport {
  const costs = tools.map((tool) => ({ tool: tool.name, tokens: tokensOf(tool) })).sort((a, b) => b.tokens - a.tokens);
  const remarks = Object.entries(hostRules).flatMap(([host, rules]) => [
    ...countRemark(host, rules, tools.length),
    ...tools.flatMap((tool) => lintTool(host, rules, tool)),
  ]);
  const heavy = costs.filter(({ tokens }) => tokens > manyTokens);
  return {
    tools: tools.length,
    tokens: costs.reduce((sum, { tokens }) => sum + tokens, 0),
    costs: costs.slice(0, shownCosts),
    remarks: [
      ...remarks,
      ...heavy.map(({ tool, tokens }) => warning(tool, `costs about ${tokens} tokens wherever it is listed`)),
      ...tools
        .filter(({ input }) => !hasDescribedProperties(input))
        .map(({ name }) => warning(name, 'some of its parameters have no description')),
    ],
  };
}

function countRemark(host: string, { tools: limit }: HostRules, count: number): Remark[] {
  if (limit === undefined || count <= limit) return [];
  return [remark(host, '*', 'drops', `takes ${limit} tools; ${count} are listed (TOOLWEAVER_EXPOSE=auto lists fewer)`)];
}

function lintTool(host: string, rules: HostRules, { name, description, input }: Listed): Remark[] {
  const found: Remark[] = [];
  const length = rules.prefix + name.length;
  if (length > rules.name)
    found.push(remark(host, name, 'drops', `its name has ${length} characters there; ${rules.name} are the limit`));
  if (!rules.namePattern.test(name))
    found.push(remark(host, name, 'drops', 'its name has characters that are not taken'));
  const bytes = byteLength(description);
  if (rules.descriptionBytes !== undefined && bytes > rules.descriptionBytes) {
    found.push(
      remark(
        host,
        name,
        'cuts',
        `its description has ${bytes} bytes; the rest after ${rules.descriptionBytes} is not seen`,
      ),
    );
  }
  const rootWords = rootCombinators.filter((word) => Object.hasOwn(input, word));
  if (rules.rootCombinators !== 'takes' && rootWords.length > 0) {
    found.push(remark(host, name, rules.rootCombinators, `its input schema has ${rootWords.join(', ')} at the root`));
  }
  return found;
}

const warning = (tool: string, why: string): Remark => remark('every host', tool, 'warns', why);

const remark = (host: string, tool: string, effect: Remark['effect'], why: string): Remark => ({
  host,
  tool,
  effect,
  why,
});

function hasDescribedProperties({ properties }: Record<string, unknown>): boolean {
  return (
    !isRecord(properties) ||
    Object.values(properties).every((one) => isRecord(one) && typeof one.description === 'string')
  );
}

const tokensOf = ({ name, description, input, annotations, title }: Listed): number =>
  Math.ceil(
    byteLength(JSON.stringify({ name, description, inputSchema: input, annotations: { title, ...annotations } })) / 4,
  );
