import { isRecord } from '../json.ts';

const maxChars = 200;
const maxLiterals = 5;
const maxLiteralChars = 30;
const maxAlternatives = 4;
const maxProperties = 30;
const maxNesting = 4;

/** How far a type may still be spelled out: levels of objects, and of anything at all. */
interface Room {
  objects: number;
  levels: number;
}

/**
 * A tool's parameters and result on one line of at most 200 characters in the manner of TypeScript. The schemas may be
 * anything; what is no schema reads as `unknown`.
 */
export function compactSignature(name: string, inputSchema: unknown, outputSchema?: unknown): string {
  const parameters = isRecord(inputSchema) ? properties(inputSchema, { objects: 1, levels: maxNesting }) : [];
  const result = outputSchema === undefined ? '' : ` → ${typeOf(outputSchema, { objects: 1, levels: maxNesting })}`;
  return cut(`${name}(${parameters.join(', ')})${result}`, maxChars);
}

function typeOf(schema: unknown, room: Room): string {
  if (schema === false) return 'never';
  if (!isRecord(schema) || room.levels === 0) return 'unknown';
  if ('const' in schema) return literal(schema.const);
  if (Array.isArray(schema.enum)) return alternatives(schema.enum.slice(0, maxLiterals + 1).map(literal), maxLiterals);
  if (typeof schema.$ref === 'string') return lastSegment(schema.$ref);
  const options = schema.anyOf ?? schema.oneOf;
  const inner = { ...room, levels: room.levels - 1 };
  if (Array.isArray(options)) return union(options, (option) => typeOf(option, inner));
  if (Array.isArray(schema.type)) return union(schema.type, (type) => plainType(type, schema, inner));
  return plainType(schema.type, schema, inner);
}

function plainType(type: unknown, schema: Record<string, unknown>, room: Room): string {
  if (type === 'integer') return 'number';
  if (type === 'string' || type === 'number' || type === 'boolean' || type === 'null') return type;
  if (type === 'array') return arrayType(typeOf(schema.items, room));
  if (type === 'object' || isRecord(schema.properties)) return objectType(schema, room);
  return 'unknown';
}

function arrayType(item: string): string {
  return item.includes(' | ') ? `(${item})[]` : `${item}[]`;
}

function objectType(schema: Record<string, unknown>, room: Room): string {
  if (room.objects === 0) return 'object';
  const members = properties(schema, { ...room, objects: room.objects - 1 });
  return members.length === 0 ? 'object' : `{ ${members.join(', ')} }`;
}

function properties(schema: Record<string, unknown>, room: Room): string[] {
  if (!isRecord(schema.properties)) return [];
  const required = new Set<unknown>(Array.isArray(schema.required) ? schema.required : []);
  const entries = Object.entries(schema.properties);
  const shown = entries
    .slice(0, maxProperties)
    .map(([key, value]) => `${keyText(key)}${required.has(key) ? '' : '?'}: ${typeOf(value, room)}`);
  return entries.length > maxProperties ? [...shown, '…'] : shown;
}

function union(options: readonly unknown[], read: (option: unknown) => string): string {
  return alternatives([...new Set(options.slice(0, maxAlternatives + 1).map(read))], maxAlternatives);
}

function alternatives(texts: readonly string[], most: number): string {
  if (texts.length === 0) return 'unknown';
  const shown = texts.slice(0, most);
  const separator = shown.every((text) => text.startsWith("'")) ? '|' : ' | ';
  return [...shown, ...(texts.length > most ? ['…'] : [])].join(separator);
}

function literal(value: unknown): string {
  if (typeof value === 'string') return `'${oneLine(cut(value, maxLiteralChars)).replace(/'/g, "\\'")}'`;
  return typeof value === 'object' && value !== null ? 'object' : String(value);
}

function keyText(key: string): string {
  return /^[\p{L}_$][\p{L}\p{N}_$]{0,60}$/u.test(key) ? key : literal(key);
}

function lastSegment(ref: string): string {
  return oneLine(cut(ref.slice(ref.lastIndexOf('/') + 1), maxLiteralChars)) || 'unknown';
}

/** Names and values come from other people: none may start a new line of the list that a model reads. */
function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ');
}

function cut(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1).replace(/[\ud800-\udbff]$/, '')}…`;
}

const maxWordDepth = 3;
const maxWords = 200;
const maxDescriptionChars = 500;

/** Names and descriptions of a schema's properties to three levels, at most 200 texts; garbage gives none. */
export function parameterWords(schema: unknown): string[] {
  const words: string[] = [];
  addWords(words, schema, maxWordDepth);
  return words;
}

function addWords(words: string[], schema: unknown, depth: number): void {
  if (depth === 0 || !isRecord(schema)) return;
  if (isRecord(schema.properties)) addPropertyWords(words, schema.properties, depth);
  if (isRecord(schema.items)) addWords(words, schema.items, depth - 1);
  for (const options of [schema.anyOf, schema.oneOf, schema.allOf]) {
    if (!Array.isArray(options)) continue;
    for (const option of options.slice(0, maxProperties)) addWords(words, option, depth - 1);
  }
}

function addPropertyWords(words: string[], members: Record<string, unknown>, depth: number): void {
  for (const [name, value] of Object.entries(members)) {
    if (words.length >= maxWords) return;
    words.push(name.slice(0, maxDescriptionChars));
    if (!isRecord(value)) continue;
    if (typeof value.description === 'string' && words.length < maxWords)
      words.push(value.description.slice(0, maxDescriptionChars));
    addWords(words, value, depth - 1);
  }
}
