import { ResourceNotFoundError } from '@modelcontextprotocol/server';
import { requireScope } from '../catalog/grants.ts';
import type { Principal } from '../contracts.ts';
import { toWeaverError, type WeaverError } from '../errors.ts';
import type { McpParts } from './parts.ts';

const toolPrefix = 'toolweaver://tools/';
const runPrefix = 'toolweaver://runs/';

/** What can be read by address: every tool, and every kept run. */
export const resourceTemplates = [
  {
    name: 'tool',
    title: 'A tool',
    uriTemplate: `${toolPrefix}{name}`,
    description: 'What a tool does, its types, examples and versions.',
    mimeType: 'text/markdown',
  },
  {
    name: 'run',
    title: 'A run',
    uriTemplate: `${runPrefix}{id}`,
    description: 'Where a kept call stands, and its result.',
    mimeType: 'application/json',
  },
];

/** A page of `resources/list`: the tools of the same page of `tools/list`. */
export async function listResources({ source, listing }: McpParts, principal: Principal, cursor: string | undefined) {
  requireScope(principal, 'read', 'resources/list');
  const { tenant } = principal;
  await source.freshen(tenant);
  const { tools, nextCursor } = await listing.page(tenant, cursor);
  const resources = tools.map(({ name, title, description }) => ({
    uri: `${toolPrefix}${name}`,
    name,
    ...(title !== undefined && { title }),
    ...(description !== undefined && { description }),
    mimeType: 'text/markdown',
  }));
  return { resources, ...(nextCursor !== undefined && { nextCursor }) };
}

/**
 * The contents of one resource, by the same road as a call, so with the same rights.
 * @throws ResourceNotFoundError, or what the road answers.
 */
export async function readResource(parts: McpParts, principal: Principal, uri: string, signal: AbortSignal) {
  if (uri.startsWith(toolPrefix)) {
    const name = decode(uri, toolPrefix);
    const described = await ask(parts, principal, uri, signal, { tool: 'describe_tool', input: { name } });
    return { contents: [{ uri, mimeType: 'text/markdown', text: toMarkdown(described) }] };
  }
  if (uri.startsWith(runPrefix)) {
    const run = await ask(parts, principal, uri, signal, {
      tool: 'get_run',
      input: { run_id: decode(uri, runPrefix) },
    });
    return { contents: [{ uri, mimeType: 'application/json', text: JSON.stringify(run, null, 2) }] };
  }
  throw new ResourceNotFoundError(uri);
}

async function ask(
  { call }: McpParts,
  principal: Principal,
  uri: string,
  signal: AbortSignal,
  { tool, input }: { tool: string; input: unknown },
): Promise<Record<string, unknown>> {
  const outcome = await call({ tool, input, principal, via: 'mcp', signal });
  if (outcome.status === 'done') return outcome.value as Record<string, unknown>;
  const error: WeaverError = toWeaverError(outcome.status === 'failed' ? outcome.error : undefined);
  const isMissing = ['unknown_tool', 'not_found', 'bad_input', 'not_approved'].includes(error.code);
  throw isMissing ? new ResourceNotFoundError(uri) : error;
}

function decode(uri: string, prefix: string): string {
  try {
    return decodeURIComponent(uri.slice(prefix.length));
  } catch {
    throw new ResourceNotFoundError(uri);
  }
}

function toMarkdown({
  name,
  title,
  description,
  signature,
  versions,
  examples,
  risk,
  use_when,
  ...rest
}: Record<string, unknown>): string {
  const code = (value: unknown) => `\`\`\`json\n${JSON.stringify(value, null, 2)}\n\`\`\``;
  const history = Array.isArray(versions) ? versions.map((one) => `- ${one.version} (${one.state})`) : [];
  const uses = Array.isArray(use_when) ? use_when.map((one) => `- ${String(one)}`) : [];
  return [
    `# ${String(title ?? name)}`,
    String(description),
    `\`${String(signature)}\``,
    `Risk: ${String(risk)}.`,
    ...(uses.length > 0 ? ['## Use when', uses.join('\n')] : []),
    '## Input',
    code(rest.input_schema),
    ...(rest.output_schema === undefined ? [] : ['## Output', code(rest.output_schema)]),
    ...(Array.isArray(examples) && examples.length > 0 ? ['## Examples', code(examples)] : []),
    ...(history.length > 0 ? ['## Versions', history.join('\n')] : []),
  ].join('\n\n');
}
