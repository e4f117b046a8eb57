import type { Catalog } from '../catalog/catalog.ts';
import { mayUse } from '../catalog/grants.ts';
import type { Tool, ToolKind } from '../catalog/tool.ts';
import type { Principal } from '../contracts.ts';
import { scoreBand } from './band.ts';
import { createLexicalIndex, type Hit, type LexicalIndex, type SearchDocument } from './lexical-index.ts';
import { compactSignature, parameterWords } from './signature.ts';

export interface SearchFilter {
  kinds?: readonly ToolKind[];
  /** Only tools with all of these. */
  tags?: readonly string[];
  /** Only tools that a principal with these grants may use. */
  grants?: Principal['tools'];
}

export interface ToolHit {
  name: string;
  kind: ToolKind;
  version?: string;
  description: string;
  signature: string;
  score: number;
  band: string;
  why: string;
  input_schema?: unknown;
}

export interface ToolHits {
  hits: ToolHit[];
  /** Said when nothing fits. */
  note?: string;
}

/** Finds tools of a tenant for one query, best first. */
export type ToolSearch = (
  tenant: string,
  query: string,
  limit: number,
  filter?: SearchFilter,
  withSchemas?: boolean,
) => ToolHits;

const maxDescription = 200;

/** Search over the catalog: an index per tenant, made at the first search and kept up to date by `catalog.onChange`. */
export function createToolSearch(catalog: () => Catalog): { search: ToolSearch; follow(catalog: Catalog): void } {
  const indexes = new Map<string, LexicalIndex>();
  const indexOf = (tenant: string): LexicalIndex => {
    const known = indexes.get(tenant);
    if (known) return known;
    const index = createLexicalIndex();
    for (const tool of catalog().list(tenant)) index.put(toDocument(tool));
    indexes.set(tenant, index);
    return index;
  };
  return {
    follow: (followed) =>
      void followed.onChange((tenant, names) => {
        const index = indexes.get(tenant);
        if (index) for (const name of names) update(index, name, followed.get(tenant, name));
      }),
    search(tenant, query, limit, filter = {}, withSchemas = false) {
      const index = indexOf(tenant);
      const found = index.search(query, limit, (name) => fits(catalog().get(tenant, name), filter));
      if (found.length === 0)
        return { hits: [], note: 'No tool matches these words. Try other words, or write it and save it.' };
      const possible = index.possibleScore(query);
      return { hits: found.flatMap((hit) => toHit(catalog().get(tenant, hit.id), hit, possible, withSchemas)) };
    },
  };
}

function update(index: LexicalIndex, name: string, tool: Tool | undefined): void {
  if (tool) index.put(toDocument(tool));
  else index.remove(name);
}

function toDocument(tool: Tool): SearchDocument {
  return {
    id: tool.name,
    name: tool.name,
    description: tool.description,
    useWhen: tool.words?.useWhen ?? [],
    exampleRequests: tool.words?.exampleRequests ?? [],
    parameters: parameterWords(tool.input),
    tags: tool.words?.tags ?? [],
    ...(tool.words?.code !== undefined && { code: tool.words.code }),
  };
}

function fits(tool: Tool | undefined, { kinds, tags, grants }: SearchFilter): boolean {
  if (!tool || (grants && !mayUse({ tools: grants }, tool.name))) return false;
  if (kinds && !kinds.includes(tool.kind)) return false;
  return (tags ?? []).every((tag) => tool.words?.tags.includes(tag));
}

function toHit(tool: Tool | undefined, hit: Hit, possible: number, withSchemas: boolean): ToolHit[] {
  if (!tool) return [];
  return [
    {
      name: tool.name,
      kind: tool.kind,
      ...(tool.version !== undefined && { version: tool.version }),
      description: oneLine(tool.description),
      signature: compactSignature(tool.name, tool.input, tool.output),
      score: Math.round(hit.score * 100) / 100,
      band: scoreBand(hit, possible),
      why: `${hit.why}: ${hit.matched.join(', ')}`,
      ...(withSchemas && { input_schema: tool.input }),
    },
  ];
}

function oneLine(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ').trim();
  return line.length <= maxDescription ? line : `${line.slice(0, maxDescription - 1)}…`;
}
