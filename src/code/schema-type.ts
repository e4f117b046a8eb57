import { isRecord } from '../json.ts';

/**
 * Whether values of the type are read (only what the schema names is there) or written (an open object takes more
 * properties than it names, and values of any interface).
 */
export type Direction = 'read' | 'written';

interface Reading {
  root: unknown;
  direction: Direction;
  /** How many more schemas may be spelled out: many references may stand for the same large one. */
  left: number;
}

const maxLevels = 12;
const maxSchemas = 2_000;
const anything = 'any';
const identifier = /^[A-Za-z_$][\w$]*$/;

/**
 * The TypeScript type of a schema's values. Only names of types, punctuation and quoted texts come out of it, so no schema
 * can put code of its own into it; what TypeScript cannot say is left out, and where a schema says nothing it is `any`.
 */
export function typeOfSchema(schema: unknown, direction: Direction): string {
  return typeOf({ root: schema, direction, left: maxSchemas }, schema, maxLevels);
}

function typeOf(reading: Reading, schema: unknown, levels: number): string {
  if (schema === false) return 'never';
  if (!isRecord(schema) || levels === 0 || reading.left-- <= 0) return anything;
  if (typeof schema.$ref === 'string') return typeOf(reading, followRef(reading.root, schema.$ref), levels - 1);
  if ('const' in schema) return literal(schema.const);
  if (Array.isArray(schema.enum)) return union(schema.enum.map(literal));
  const inner = (part: unknown): string => typeOf(reading, part, levels - 1);
  const parts = [
    plainTypes(reading, schema, inner),
    ...[schema.anyOf, schema.oneOf].map((options) => (Array.isArray(options) ? union(options.map(inner)) : anything)),
    ...(Array.isArray(schema.allOf) ? schema.allOf.map(inner) : []),
  ];
  const saying = [...new Set(parts)].filter((part) => part !== anything);
  if (saying.length === 0) return anything;
  return saying.length === 1 ? String(saying[0]) : saying.map(grouped).join(' & ');
}

/** What a local reference (RFC 6901) points at; undefined when there is nothing. */
function followRef(root: unknown, ref: string): unknown {
  if (!ref.startsWith('#')) return undefined;
  const tokens = ref.slice(1).split('/').slice(1);
  return tokens.reduce<unknown>((node, token) => {
    const key = token.replaceAll('~1', '/').replaceAll('~0', '~');
    return typeof node === 'object' && node !== null && Object.hasOwn(node, key)
      ? (node as Record<string, unknown>)[key]
      : undefined;
  }, root);
}

function plainTypes(reading: Reading, schema: Record<string, unknown>, inner: (part: unknown) => string): string {
  const { type } = schema;
  if (Array.isArray(type)) return union(type.map((one) => plainType(reading, one, schema, inner)));
  if (type === undefined && isRecord(schema.properties)) return plainType(reading, 'object', schema, inner);
  return plainType(reading, type, schema, inner);
}

function plainType(
  reading: Reading,
  type: unknown,
  schema: Record<string, unknown>,
  inner: (part: unknown) => string,
): string {
  if (type === 'integer') return 'number';
  if (type === 'string' || type === 'number' || type === 'boolean' || type === 'null') return type;
  if (type === 'array') return arrayType(schema, inner);
  return type === 'object' ? objectType(reading, schema, inner) : anything;
}

function arrayType({ prefixItems, items }: Record<string, unknown>, inner: (part: unknown) => string): string {
  const rest = items === undefined ? anything : inner(items);
  if (!Array.isArray(prefixItems)) return `${grouped(rest)}[]`;
  const first = prefixItems.map((item) => `${grouped(inner(item))}?`);
  return `[${[...first, ...(items === false ? [] : [`...${grouped(rest)}[]`])].join(', ')}]`;
}

function objectType(reading: Reading, schema: Record<string, unknown>, inner: (part: unknown) => string): string {
  const { properties, patternProperties, additionalProperties: more } = schema;
  const named = isRecord(properties) ? Object.entries(properties) : [];
  const required = new Set<unknown>(Array.isArray(schema.required) ? schema.required : []);
  const members = named.map(([key, value]) => `${keyText(key)}${required.has(key) ? '' : '?'}: ${inner(value)}`);
  const isClosed = more === false && patternProperties === undefined;
  const saysMore = (more !== undefined && more !== false) || patternProperties !== undefined;
  // `any` alone takes the values of interfaces, which have no index of their own.
  const rest = named.length === 0 && isRecord(more) && reading.direction === 'read' ? inner(more) : anything;
  const isOpen = !isClosed && (saysMore || named.length === 0 || reading.direction === 'written');
  // Read, it may be whatever the author takes it for.
  if (members.length === 0 && isOpen && rest === anything && reading.direction === 'read') return anything;
  const all = [...members, ...(isOpen ? [`[key: string]: ${rest}`] : [])];
  return all.length === 0 ? '{ [key: string]: never }' : `{ ${all.join('; ')} }`;
}

function union(options: readonly string[]): string {
  const different = [...new Set(options)];
  if (different.length === 0 || different.includes(anything)) return anything;
  return different.length === 1 ? String(different[0]) : different.map(grouped).join(' | ');
}

const literal = (value: unknown): string =>
  value === null || ['string', 'number', 'boolean'].includes(typeof value) ? JSON.stringify(value) : anything;

const grouped = (type: string): string => (/^(?:[\w$]+|"[^"]*"|\{[^{}]*\})$/.test(type) ? type : `(${type})`);

/** A property's name as it stands in a type or behind a dot. */
export const keyText = (key: string): string => (identifier.test(key) ? key : JSON.stringify(key));
