import { isRecord } from '../json.ts';
import { shortText } from '../text/clean.ts';
import { keywords } from './schema-keywords.ts';

const informing = new Set(
  '$schema $id $comment title description default example examples format deprecated readOnly writeOnly contentEncoding contentMediaType contentSchema'.split(
    ' ',
  ),
);

/** One schema inside a schema document, with where it stands. */
export interface SchemaNode {
  schema: Readonly<Record<string, unknown>>;
  /** For messages: `input_schema.properties.a`. */
  path: string;
  /** Its JSON pointer (RFC 6901) in the document, such as `#/properties/a`. */
  pointer: string;
  /** How many schemas it lies in. */
  depth: number;
  children: SchemaNode[];
}

/** All schemas of a document, the root first; `true` and `false` stand there as schemas without keywords. */
export function readTree(where: string, schema: Readonly<Record<string, unknown>>): SchemaNode[] {
  const nodes: SchemaNode[] = [{ schema, path: where, pointer: '#', depth: 1, children: [] }];
  // The list grows while it is read, so the depth of a schema costs no stack.
  for (const node of nodes) {
    node.children = childrenOf(node);
    for (const child of node.children) nodes.push(child);
  }
  return nodes;
}

/** The path of a member for messages, safe to print: `.name`, `[0]` or `["odd name"]`. */
export function memberPath(path: string, key: string | number): string {
  if (typeof key === 'number') return `${path}[${key}]`;
  return /^[$\w-]{1,60}$/.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(shortText(key))}]`;
}

/** A JSON pointer token (RFC 6901, section 3). */
export const pointerToken = (key: string | number): string => String(key).replaceAll('~', '~0').replaceAll('/', '~1');

/** The keywords of a schema that decide about values, without what only informs, and without all that is unknown. */
export function decidingPart(schema: unknown): unknown {
  if (!isRecord(schema)) return schema;
  const entries = Object.entries(schema).flatMap(([keyword, value]): [string, unknown][] => {
    const shape = keywords.get(keyword);
    if (shape === undefined || informing.has(keyword)) return [];
    if (shape === 'schema' || shape === 'schemas') return [[keyword, decidingParts(value)]];
    if (!isRecord(value) || (shape !== 'schemaMap' && shape !== 'namesOrSchemas')) return [[keyword, value]];
    return [[keyword, Object.fromEntries(Object.entries(value).map(([key, one]) => [key, decidingPart(one)]))]];
  });
  return Object.fromEntries(entries);
}

const decidingParts = (value: unknown): unknown =>
  Array.isArray(value) ? value.map(decidingPart) : decidingPart(value);

function childrenOf(node: SchemaNode): SchemaNode[] {
  return Object.entries(node.schema).flatMap(([keyword, value]) => {
    const shape = keywords.get(keyword);
    if (Array.isArray(value) && (shape === 'schemas' || keyword === 'items'))
      return members(node, keyword, [...value.entries()]);
    if (shape === 'schema') return child(node, [keyword], value);
    if (!isRecord(value) || (shape !== 'schemaMap' && shape !== 'namesOrSchemas')) return [];
    return members(node, keyword, Object.entries(value));
  });
}

function members(node: SchemaNode, keyword: string, entries: [string | number, unknown][]): SchemaNode[] {
  return entries.flatMap(([key, value]) => child(node, [keyword, key], value));
}

function child(node: SchemaNode, keys: (string | number)[], value: unknown): SchemaNode[] {
  if (!isRecord(value) && typeof value !== 'boolean') return [];
  return [
    {
      schema: isRecord(value) ? value : {},
      path: keys.reduce(memberPath, node.path),
      pointer: [node.pointer, ...keys.map(pointerToken)].join('/'),
      depth: node.depth + 1,
      children: [],
    },
  ];
}
