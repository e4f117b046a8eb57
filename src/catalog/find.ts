import { satisfies, validRange } from 'semver';
import type { CallRequest } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import { type Catalog, splitName, type ToolSource, unknownTool } from './catalog.ts';
import type { Tool } from './tool.ts';

/** The longest name with its range. */
const maxNameLength = 300;

/**
 * The tool that a request names: by name, `name@range` or version, or as its caller's lock says.
 * @throws WeaverError `unknown_tool`, `not_found`, `not_approved`, `seal_broken`, `bad_input` for what is no range.
 */
export async function findTool(
  { catalog, source }: { catalog: Catalog; source: ToolSource },
  request: CallRequest,
): Promise<Tool> {
  if (request.tool.length > maxNameLength) throw noSuchName(catalog, request);
  const { name, range } = splitName(request.tool);
  const { tenant } = request.principal;
  const { lock = {} } = request.caller ?? {};
  const locked = Object.hasOwn(lock, name) ? lock[name] : undefined;
  const wanted = locked?.version ?? request.version ?? range;
  if (wanted !== undefined && validRange(wanted) === null) {
    throw new WeaverError('bad_input', `${JSON.stringify(wanted.slice(0, 50))} is no version or range.`, {
      hint: `Write ${name}@1.2.3, ${name}@^1, or only ${name}.`,
    });
  }
  const tool = await pick(catalog.get(tenant, name), wanted, () => source.load(tenant, name, wanted ?? '*'));
  if (!tool) throw unknownTool(catalog, request.principal, request.tool);
  if (locked && tool.seal !== locked.seal) {
    throw new WeaverError('seal_broken', `${name} ${tool.version} is not what was reviewed with its caller.`, {
      hint: 'Save the calling skill again, so that it is locked and reviewed anew.',
    });
  }
  return tool;
}

// Reading a range of megabytes, or looking for names like one, would hold up everybody for seconds.
const noSuchName = (catalog: Catalog, { principal, tool }: CallRequest): WeaverError =>
  unknownTool(catalog, principal, tool.slice(0, maxNameLength));

async function pick(
  listed: Tool | undefined,
  wanted: string | undefined,
  load: () => Promise<Tool | undefined>,
): Promise<Tool | undefined> {
  if (listed && (wanted === undefined || isVersion(listed, wanted))) return listed;
  if (listed?.kind !== 'builtin') return load();
  throw new WeaverError('not_found', `${listed.name} is built in and has no versions.`, {
    hint: `Write only ${listed.name}.`,
  });
}

const isVersion = (tool: Tool, range: string): boolean => tool.version !== undefined && satisfies(tool.version, range);
