import type { Finding } from '../contracts.ts';
import { byteLength, isRecord, isWithinDepth } from '../json.ts';
import { shortText } from '../text/clean.ts';
import { findPoison } from '../text/poison.ts';
import { rootCombinators } from './definition.ts';
import { refusal } from './finding.ts';
import { isDraft07 } from './schema-keywords.ts';
import { checkPatterns } from './schema-pattern.ts';
import { checkRefs } from './schema-refs.ts';
import { checkNode, schemaLimits } from './schema-rules.ts';
import { memberPath, readTree } from './schema-tree.ts';

const dialect2020 = /^https?:\/\/json-schema\.org\/draft\/2020-12\/schema#?$/;

/**
 * Checks a schema that somebody wants to save, and gives all findings at once. A schema without errors compiles
 * (`compileValidator`), is taken by every host, and costs a bounded time to check a value with. Never throws.
 */
export function checkSchema(where: string, schema: unknown): Finding[] {
  if (!isRecord(schema)) {
    return [refusal(where, 'schema_form', 'must be a JSON Schema object', 'Begin with { "type": "object" }.')];
  }
  const form = checkForm(where, schema);
  if (form.length > 0) return form;
  const nodes = readTree(where, schema);
  const isOld = isDraft07(schema);
  return capped(where, [
    ...checkRoot(where, schema),
    ...nodes.flatMap((node) => checkNode(node, isOld)),
    ...checkPatterns(where, nodes),
    ...checkRefs(nodes),
    ...checkTexts(where, schema),
  ]);
}

/** What must hold before a schema is looked into: the sizes. */
function checkForm(where: string, schema: Record<string, unknown>): Finding[] {
  const { bytes, jsonDepth, properties } = schemaLimits;
  const refuse = (rule: string, problem: string) => [
    refusal(where, rule, problem, 'Describe the outer levels only, or split the tool in two.'),
  ];
  if (!isWithinDepth(schema, jsonDepth)) return refuse('schema_too_deep', `nests deeper than ${jsonDepth} levels`);
  const size = jsonSize(schema);
  if (size === undefined) return refuse('not_json', 'holds a value that JSON cannot hold');
  if (size > bytes) return refuse('schema_too_large', `has ${size} bytes; ${bytes} are the limit`);
  const count = countProperties(schema);
  if (count > properties)
    return refuse('schema_too_large', `has ${count} properties in all; ${properties} are the limit`);
  return [];
}

function jsonSize(schema: unknown): number | undefined {
  try {
    return byteLength(JSON.stringify(schema));
  } catch {
    return undefined; // A value that JSON cannot hold, such as a bigint; the caller reports it.
  }
}

function countProperties(schema: Record<string, unknown>): number {
  return readTree('', schema).reduce(
    (sum, { schema: { properties } }) => sum + (isRecord(properties) ? Object.keys(properties).length : 0),
    0,
  );
}

function checkRoot(where: string, schema: Record<string, unknown>): Finding[] {
  const remedy = 'Hosts drop such tools; put it into a property.';
  const combinators = rootCombinators.filter((keyword) => Object.hasOwn(schema, keyword));
  return [
    ...(schema.type === 'object' ? [] : [refusal(`${where}.type`, 'root_type', 'must be "object"', remedy)]),
    ...combinators.map((word) => refusal(`${where}.${word}`, 'root_combinator', 'may not stand at the root', remedy)),
    ...checkDialect(`${where}.$schema`, schema.$schema),
  ];
}

function checkDialect(where: string, dialect: unknown): Finding[] {
  if (typeof dialect !== 'string' || dialect2020.test(dialect) || isDraft07({ $schema: dialect })) return [];
  const remedy = 'Remove it, or write https://json-schema.org/draft/2020-12/schema.';
  return [refusal(where, 'schema_dialect', `is not a dialect that is known here: ${shortText(dialect, 80)}`, remedy)];
}

/** Everything in a schema reaches a model: titles and descriptions, but names, choices and defaults too. */
function checkTexts(where: string, schema: unknown): Finding[] {
  const findings: Finding[] = [];
  const open: [string, unknown][] = [[where, schema]];
  for (const [path, value] of open) {
    if (typeof value === 'string') findings.push(...findPoison(path, value));
    if (typeof value === 'number' && !Number.isFinite(value)) findings.push(numberFinding(path));
    if (value === null || typeof value !== 'object') continue;
    const isList = Array.isArray(value);
    for (const [key, member] of Object.entries(value)) {
      const place = memberPath(path, isList ? Number(key) : key);
      findings.push(...findPoison(place, key));
      open.push([place, member]);
    }
  }
  return findings;
}

const numberFinding = (where: string): Finding =>
  refusal(where, 'not_json', 'is too large a number', 'Use a number that JSON can hold.');

function capped(where: string, findings: Finding[]): Finding[] {
  const ordered = [...findings.filter(isError), ...findings.filter((finding) => !isError(finding))];
  const { findings: limit } = schemaLimits;
  if (ordered.length <= limit) return ordered;
  const more = refusal(where, 'more_findings', `has ${ordered.length - limit} more findings`, 'Correct these first.');
  return [...ordered.slice(0, limit), ordered.some(isError) ? more : { ...more, severity: 'warning' }];
}

const isError = (finding: Finding): boolean => finding.severity === 'error';
