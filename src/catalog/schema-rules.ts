import type { Finding } from '../contracts.ts';
import { isRecord } from '../json.ts';
import { shortText } from '../text/clean.ts';
import { didYouMean } from '../text/nearest.ts';
import { refusal, warning } from './finding.ts';
import {
  foreignTypes,
  formats,
  keywords,
  newerKeywords,
  olderKeywords,
  refusedKeywords,
  shapes,
  types,
} from './schema-keywords.ts';
import { memberPath, type SchemaNode } from './schema-tree.ts';

/** What a saved schema may be. `depth` counts schemas inside schemas, `jsonDepth` objects and arrays inside each other. */
export const schemaLimits = Object.freeze({
  bytes: 65_536,
  depth: 16,
  jsonDepth: 64,
  properties: 500,
  enumValues: 1_000,
  uniqueItems: 1_000,
  findings: 50,
});

const unsafeNames = new Set(['__proto__', 'constructor', 'prototype']);

/** Checks one schema of a document for itself: every keyword it has, and the names of its properties. */
export function checkNode(node: SchemaNode, isOld: boolean): Finding[] {
  const { path, depth } = node;
  const tooDeep = refusal(path, 'schema_too_deep', `lies in more than ${schemaLimits.depth} schemas`, 'Flatten it.');
  return [
    // One finding where the limit is passed, not one for everything beneath.
    ...(depth === schemaLimits.depth + 1 ? [tooDeep] : []),
    ...Object.entries(node.schema).flatMap(([keyword, value]) => checkKeyword(node, keyword, value, isOld)),
    ...checkNames(node),
    ...checkUniqueItems(node),
  ];
}

function checkKeyword(node: SchemaNode, keyword: string, value: unknown, isOld: boolean): Finding[] {
  const where = memberPath(node.path, keyword);
  const instead = refusedKeywords.get(keyword);
  if (instead !== undefined) return [refusal(where, 'keyword_refused', 'is not taken', instead)];
  const shape = keywords.get(keyword);
  if (shape === undefined) return checkUnknown(where, keyword);
  if (keyword === 'items' && Array.isArray(value)) return checkTuple(where, value, isOld);
  if (!shapes[shape].fits(value)) {
    return [refusal(where, 'keyword_form', `must be ${shapes[shape].wants}`, 'Correct the value.')];
  }
  if ((isOld ? newerKeywords : olderKeywords).has(keyword)) return [dialectFinding(where, isOld)];
  return valueChecks[keyword]?.(where, value, node) ?? [];
}

function checkUnknown(where: string, keyword: string): Finding[] {
  if (keyword.startsWith('x-')) return [];
  const message = `is not a keyword of JSON Schema 2020-12, so nothing is checked by it.${didYouMean(keyword, keywords.keys())}`;
  return [warning(where, 'keyword_unknown', message, 'Correct or remove it.')];
}

function dialectFinding(where: string, isOld: boolean): Finding {
  if (isOld) return warning(where, 'keyword_unknown', 'has no meaning in draft-07', 'Remove $schema, or the keyword.');
  return warning(where, 'keyword_unknown', 'has a meaning in draft-07 only', 'Write items beside prefixItems instead.');
}

function checkTuple(where: string, value: unknown[], isOld: boolean): Finding[] {
  if (isOld && shapes.schemas.fits(value)) return [];
  const remedy = 'Write prefixItems for a list of schemas by position.';
  return [refusal(where, 'keyword_form', 'must be a schema, not a list', remedy)];
}

const valueChecks: Readonly<Record<string, (where: string, value: unknown, node: SchemaNode) => Finding[]>> = {
  type: (where, value) => [value].flat().flatMap((type) => checkType(where, String(type))),
  enum: (where, value) => checkEnum(where, [value].flat().length),
  format: (where, value) => checkFormat(where, String(value)),
  $id: (where, _value, { pointer }) => {
    if (pointer === '#') return [warning(where, 'keyword_unknown', 'has no meaning here', 'Remove it.')];
    return [refusal(where, 'keyword_refused', 'may stand at the root only', 'Remove it; point with #/$defs/name.')];
  },
};

function checkEnum(where: string, count: number): Finding[] {
  const { enumValues } = schemaLimits;
  if (count <= enumValues) return [];
  const remedy = 'Take any text and check it in the code.';
  return [refusal(where, 'costly_keyword', `lists ${count} values; ${enumValues} are the limit`, remedy)];
}

function checkFormat(where: string, format: string): Finding[] {
  if (formats.has(format)) return [];
  const problem = `is not a known format: ${shortText(format)}.${didYouMean(format, formats)}`;
  return [warning(where, 'format_unknown', problem, 'Say it in the description instead.')];
}

function checkType(where: string, type: string): Finding[] {
  if (types.some((known) => known === type)) return [];
  const foreign = foreignTypes.get(type.toLowerCase());
  const hint = foreign === undefined ? didYouMean(type, types) : ` Did you mean "${foreign}"?`;
  return [
    refusal(where, 'type_unknown', `is not a type: "${shortText(type)}".${hint}`, `Use one of ${types.join(', ')}.`),
  ];
}

function checkNames({ path, schema }: SchemaNode): Finding[] {
  const { properties, required } = schema;
  const maps = ['properties', '$defs', 'definitions', 'dependentSchemas', 'dependentRequired', 'dependencies'] as const;
  const named = maps.flatMap((map) => Object.keys(Object(schema[map])).map((name) => [map, name] as const));
  const wanted = Array.isArray(required) ? required.filter((name) => typeof name === 'string') : [];
  const all = [...named, ...wanted.map((name) => ['required', name] as const)];
  const unsafe = all.filter(([, name]) => unsafeNames.has(name));
  const undeclared = isRecord(properties) ? wanted.filter((name) => !Object.hasOwn(properties, name)) : [];
  return [
    ...unsafe.map(([map, name]) =>
      refusal(`${path}.${map}`, 'unsafe_name', `may not have the name ${name}`, 'Rename the property.'),
    ),
    ...undeclared.map((name) => undeclaredFinding(`${path}.required`, name, Object.keys(Object(properties)))),
  ];
}

function undeclaredFinding(where: string, name: string, names: string[]): Finding {
  const message = `asks for "${shortText(name)}", which properties does not describe.${didYouMean(name, names)}`;
  return warning(where, 'required_unknown', message, 'Describe the property, or do not require it.');
}

/** Comparing objects with each other, or very many items, takes time that grows with the square of their number. */
function checkUniqueItems({ path, schema }: SchemaNode): Finding[] {
  if (schema.uniqueItems !== true) return [];
  const { items, maxItems } = schema;
  const itemTypes = isRecord(items) && items.type !== undefined ? [items.type].flat() : ['object'];
  const isPlain = itemTypes.every((type) => type !== 'object' && type !== 'array');
  const isShort = typeof maxItems === 'number' && maxItems <= schemaLimits.uniqueItems;
  if (isPlain && isShort) return [];
  const message = `needs items of a plain type (text, number, boolean) and maxItems of at most ${schemaLimits.uniqueItems}`;
  return [
    refusal(`${path}.uniqueItems`, 'costly_keyword', message, 'Add both beside it, or check for repeats in the code.'),
  ];
}
