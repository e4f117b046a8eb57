import type { Tool as McpTool } from '@modelcontextprotocol/server';
import { mostUsed } from '../analytics/usage.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { isListable } from '../catalog/definition.ts';
import { mayUse } from '../catalog/grants.ts';
import type { Tool } from '../catalog/tool.ts';
import type { Config } from '../config.ts';
import type { Principal } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import { byteLength } from '../json.ts';
import type { Log } from '../log.ts';
import { type Cache, cacheKey, getJson, setJson } from '../store/cache.ts';
import type { Database } from '../store/database.ts';
import { listedBuiltins } from '../tools/index.ts';

const pageTools = 200;
// Clients refuse an event over 1 MiB, and in the old era over HTTP a page is one event.
const pageBytes = 512_000;
export const autoLimit = 40;
const usageDays = 30;
const usageRefreshMs = 60_000;

export interface ListPage {
  tools: McpTool[];
  nextCursor?: string;
}

/** Pages of `tools/list` for a tenant. Deterministic: the same catalog gives the same pages to everybody. */
export interface Listing {
  /**
   * Only what `who` may use, where it is given.
   * @throws WeaverError `bad_input` for a cursor that this server did not make.
   */
  page(tenant: string, cursor: string | undefined, who?: Pick<Principal, 'tools'>): Promise<ListPage>;
  /** The names of all pages, in their order. */
  names(tenant: string): Promise<string[]>;
}

interface Definition {
  name: string;
  tool: McpTool;
  bytes: number;
}

interface ListingParts {
  catalog: Catalog;
  database: Database;
  cache: Cache;
  config: Pick<Config, 'expose' | 'pinned'>;
  log: Log;
}

/** Listing by exposure policy: the built-ins of every list first, then saved tools by name. */
export function createListing({ catalog, database, cache, config, log }: ListingParts): Listing {
  const definitions = new WeakMap<Tool, Definition | 'unlistable'>();
  const lists = new WeakMap<readonly Tool[], Definition[]>();

  const define = (tool: Tool): Definition[] => {
    const known = definitions.get(tool) ?? defineOrLeaveOut(tool, log);
    definitions.set(tool, known);
    return known === 'unlistable' ? [] : [known];
  };
  const allOf = (tenant: string): Definition[] => {
    const tools = catalog.list(tenant);
    const known = lists.get(tools);
    if (known) return known;
    const isListed = (tool: Tool) => tool.kind !== 'builtin' || listedBuiltins.includes(tool.name);
    const made = tools.filter(isListed).flatMap(define);
    lists.set(tools, made);
    return made;
  };
  const usedNames = async (tenant: string): Promise<string[]> => {
    // Counting a month of calls takes long, and every process would do it.
    const key = cacheKey(tenant, 'most-used', String(usageDays), String(autoLimit));
    const known = await getJson(cache, key);
    if (known) return known as string[];
    const names = await mostUsed(database.read, tenant, Date.now() - usageDays * 86_400_000, autoLimit);
    void setJson(cache, key, names, usageRefreshMs);
    return names;
  };
  const exposed = async (tenant: string): Promise<Definition[]> => {
    const all = allOf(tenant);
    if (config.expose === 'all') return all;
    const saved = all.length - listedBuiltins.length;
    if (config.expose === 'auto' && saved <= autoLimit) return all;
    const more = config.expose === 'auto' ? await usedNames(tenant) : [];
    const names = config.expose === 'meta' ? [] : [...config.pinned, ...more];
    const shown = new Set([...listedBuiltins, ...names.slice(0, Math.max(autoLimit, config.pinned.length))]);
    return all.filter((definition) => shown.has(definition.name));
  };
  return {
    names: async (tenant) => (await exposed(tenant)).map((definition) => definition.name),
    async page(tenant, cursor, who = {}) {
      const shown = await exposed(tenant);
      const all = who.tools ? shown.filter(({ name }) => mayUse(who, name)) : shown;
      const start = cursor === undefined ? 0 : startAfter(all, readCursor(cursor));
      return cut(all, start);
    },
  };
}

function defineOrLeaveOut(tool: Tool, log: Log): Definition | 'unlistable' {
  const definition = toDefinition(tool);
  const findings = isListable(definition);
  if (findings.length > 0) {
    // One malformed definition makes clients drop the whole list.
    log.warn({ tool: tool.name, findings }, 'a tool is left out of tools/list');
    return 'unlistable';
  }
  return { name: tool.name, tool: definition, bytes: byteLength(JSON.stringify(definition)) };
}

/** What hosts read of a definition beyond the protocol: always loaded, always asked about. */
const hostHints: Readonly<Record<string, Record<string, unknown>>> = {
  search_tools: { 'anthropic/alwaysLoad': true },
  decide_review: { 'anthropic/requiresUserInteraction': true },
};

function toDefinition({
  name,
  title,
  description,
  input,
  output,
  annotations,
  kind,
}: Tool): McpTool & { description: string } {
  return {
    name,
    title,
    description,
    inputSchema: input as McpTool['inputSchema'],
    // Clients hold results against a listed output schema and throw: only tools that always answer with their value have one.
    ...(output && kind === 'skill' && { outputSchema: output as NonNullable<McpTool['outputSchema']> }),
    annotations: { title, ...annotations },
    ...(kind === 'builtin' && hostHints[name] && { _meta: hostHints[name] }),
  };
}

function cut(all: readonly Definition[], start: number): ListPage {
  let end = start;
  for (let bytes = 0; end < all.length && end - start < pageTools; end++) {
    bytes += all[end]?.bytes ?? 0;
    if (bytes > pageBytes && end > start) break;
  }
  const tools = all.slice(start, end).map((definition) => definition.tool);
  const last = all[end - 1];
  return { tools, ...(end < all.length && last && { nextCursor: makeCursor(last.name) }) };
}

// Cursors name the last tool shown, so that tools added or removed in between neither repeat nor skip others.
const makeCursor = (name: string): string => Buffer.from(`n:${name}`).toString('base64url');

function readCursor(cursor: string): string {
  const text = Buffer.from(cursor, 'base64url').toString('utf8');
  if (text.startsWith('n:') && Buffer.from(text).toString('base64url') === cursor) return text.slice(2);
  throw new WeaverError('bad_input', 'The cursor is not one that this server gave out.', {
    hint: 'Ask for tools/list without a cursor.',
  });
}

function startAfter(all: readonly Definition[], name: string): number {
  let low = 0;
  let high = all.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isBefore(name, all[middle]?.name ?? '')) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The order of every list, whatever is left out of it: built-ins in theirs, then the others by name. */
function isBefore(a: string, b: string): boolean {
  const [placeA, placeB] = [listedBuiltins.indexOf(a), listedBuiltins.indexOf(b)];
  if (placeA >= 0) return placeB < 0 || placeA < placeB;
  return placeB < 0 && a < b;
}
