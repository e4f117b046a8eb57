import type { Principal } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import { mayUse } from './grants.ts';
import type { Tool } from './tool.ts';

/** Where saved tools come from. */
export interface ToolSource {
  /** Brings the tenant's tools in the catalog up to date; called before every request, so cheap when nothing changed. */
  freshen(tenant: string): Promise<void>;
  /**
   * Another version than the listed one; undefined when nothing has the name.
   * @throws WeaverError `not_found` (no such version), `not_approved`.
   */
  load(tenant: string, name: string, range: string): Promise<Tool | undefined>;
}

/** All tools callable now, in one list per tenant. */
export interface Catalog {
  /** The current version of a tool by its exact name. */
  get(tenant: string, name: string): Tool | undefined;
  /** All tools, built-ins in their own order first, then the others by name. */
  list(tenant: string): readonly Tool[];
  put(tenant: string, tool: Tool): void;
  remove(tenant: string, name: string): void;
  /** Tells the listeners that the tenant's tools changed. */
  changed(tenant: string, names: readonly string[]): void;
  onChange(listener: ChangeListener): () => void;
}

export type ChangeListener = (tenant: string, names: readonly string[]) => void;

interface TenantTools {
  tools: Map<string, Tool>;
  sorted: Tool[] | undefined;
}

/** A catalog with the built-in tools, which every tenant has. */
export function createCatalog(builtins: readonly Tool[]): Catalog {
  const builtinByName = new Map(builtins.map((tool) => [tool.name, tool]));
  const tenants = new Map<string, TenantTools>();
  const listeners = new Set<ChangeListener>();
  const of = (tenant: string) => {
    const known = tenants.get(tenant);
    if (known) return known;
    const made: TenantTools = { tools: new Map(), sorted: undefined };
    tenants.set(tenant, made);
    return made;
  };
  return {
    get: (tenant, name) => builtinByName.get(name) ?? tenants.get(tenant)?.tools.get(name),
    list(tenant) {
      const own = of(tenant);
      own.sorted ??= [...builtins, ...[...own.tools.values()].sort(byName)];
      return own.sorted;
    },
    put(tenant, tool) {
      const own = of(tenant);
      own.tools.set(tool.name, tool);
      own.sorted = undefined;
    },
    remove(tenant, name) {
      const own = of(tenant);
      own.tools.delete(name);
      own.sorted = undefined;
    },
    changed(tenant, names) {
      for (const listener of listeners) listener(tenant, names);
    },
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

// By code unit: the same order on every machine, whatever its language.
const byName = (a: Tool, b: Tool): number => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);

/** Splits `name@range` into its parts. */
export function splitName(tool: string): { name: string; range?: string } {
  const at = tool.indexOf('@', 1);
  return at < 0 ? { name: tool } : { name: tool.slice(0, at), range: tool.slice(at + 1) };
}

/** The error for a name that no tool has, with near names for the model that guessed it. */
export function unknownTool(catalog: Catalog, principal: Principal, name: string): WeaverError {
  const near = catalog
    .list(principal.tenant)
    .map((tool) => tool.name)
    .filter((other) => mayUse(principal, other))
    .filter((other) => other.includes(name) || name.includes(other) || sharedStart(other, name) >= 4)
    .slice(0, 5);
  return new WeaverError('unknown_tool', `There is no tool named ${JSON.stringify(name.slice(0, 100))}.`, {
    hint: near.length > 0 ? `Similar names: ${near.join(', ')}.` : 'Find the right one with search_tools.',
    details: { tool: name.slice(0, 100), similar: near },
  });
}

function sharedStart(a: string, b: string): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return length;
}
