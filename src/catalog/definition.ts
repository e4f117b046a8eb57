import type { Finding } from '../contracts.ts';
import { byteLength, isRecord, isWithinDepth } from '../json.ts';
import { shortText } from '../text/clean.ts';
import { findPoison } from '../text/poison.ts';
import { refusal } from './finding.ts';

/** What hosts take of a definition. 64 characters less the longest prefix that a host sets before a name (18). */
export const definitionLimits = Object.freeze({ name: 46, descriptionBytes: 2_048, schemaDepth: 128 });

/** A definition as it would be listed, before anybody knows whether it is well formed. */
export interface Definition {
  name: unknown;
  title?: unknown;
  description: unknown;
  inputSchema: unknown;
  outputSchema?: unknown;
  annotations?: unknown;
}

const ownName = /^[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*$/;
const remoteName = /^[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*__[A-Za-z0-9][A-Za-z0-9_-]*$/;
/** What hosts do not take at the root of an input schema. */
export const rootCombinators = ['anyOf', 'oneOf', 'allOf', 'not', 'if', 'then', 'else', '$ref'];
const hints = ['readOnlyHint', 'destructiveHint', 'idempotentHint', 'openWorldHint'];

/** Checks the name of something that is to be saved, and suggests a right one. */
export function checkName(name: unknown): Finding[] {
  const remedy = `Use small letters and digits, words joined by _ or -, at most ${definitionLimits.name} characters`;
  if (typeof name !== 'string' || name === '')
    return [refusal('name', 'name_form', 'must be text such as csv_summary', `${remedy}.`)];
  if (ownName.test(name) && name.length <= definitionLimits.name) return [];
  const example = `such as ${suggestName(name)}`;
  return [refusal('name', 'name_form', nameProblem(name), `${remedy}, ${example}.`), ...findPoison('name', name)];
}

function nameProblem(name: string): string {
  const shown = `"${shortText(name)}"`;
  if (ownName.test(name)) return `${shown} has ${name.length} characters; ${definitionLimits.name} are the limit`;
  if (remoteName.test(name)) return `${shown} has a double underscore, which only tools of remotes have`;
  return `${shown} is not a name that every host takes`;
}

/** A right name near `name`: `csv_summary` for `CSV Summary` or `csvSummary`. */
function suggestName(name: string): string {
  const words = name
    .slice(0, 200)
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .match(/[a-z0-9]+/g);
  const joined = (words ?? []).join('_').replace(/^[0-9_]+/, '');
  return joined.slice(0, definitionLimits.name).replace(/_$/, '') || 'csv_summary';
}

/** What makes names the same: `CSV-Summary`, `csv_summary` and `csvsummary` have one key. */
export const nameKey = (name: string): string => name.toLowerCase().replace(/[\s_-]/g, '');

/** Checks a description: its bytes in UTF-8, and poisoned text. */
export function checkDescription(
  where: string,
  text: unknown,
  { min = 1, max = definitionLimits.descriptionBytes }: { min?: number; max?: number } = {},
): Finding[] {
  if (typeof text !== 'string')
    return [refusal(where, 'description_form', 'must be text', 'Say in a sentence what it does.')];
  const bytes = byteLength(text.trim());
  if (bytes < Math.max(1, min)) {
    const problem = bytes === 0 ? 'is empty' : `has ${bytes} bytes; ${min} are the least`;
    return [refusal(where, 'description_form', problem, 'Say what it does, with what, and what comes out.')];
  }
  const tooLong = `has ${byteLength(text)} bytes; ${max} are the limit, hosts cut the rest`;
  const remedy = 'Shorten it; examples and details belong into use_when and example_requests.';
  return [
    ...(byteLength(text) > max ? [refusal(where, 'description_form', tooLong, remedy)] : []),
    ...findPoison(where, text),
  ];
}

/**
 * Checks what every definition must be before it is listed, since one malformed definition makes clients drop the whole
 * list. Names of remote tools (`<alias>__<name>`) pass here. Cheap: structure only, see `checkSchema` for the rest.
 */
export function isListable(definition: Definition): Finding[] {
  const { name, title, description, inputSchema, outputSchema, annotations } = definition;
  return [
    ...listedName(name),
    ...(title === undefined || typeof title === 'string'
      ? []
      : [refusal('title', 'title_form', 'must be text', 'Correct or remove it.')]),
    ...listedDescription(description),
    ...listedSchema('input_schema', inputSchema),
    ...(outputSchema === undefined ? [] : listedSchema('output_schema', outputSchema)),
    ...listedAnnotations(annotations),
  ];
}

function listedName(name: unknown): Finding[] {
  const isRight = typeof name === 'string' && (ownName.test(name) || remoteName.test(name));
  if (isRight && name.length <= definitionLimits.name) return [];
  const shown = typeof name === 'string' ? `"${shortText(name)}" ` : '';
  const problem = isRight
    ? `${shown}is longer than ${definitionLimits.name} characters`
    : `${shown}is not a name that every host takes`;
  return [refusal('name', 'name_form', problem, 'Rename the tool, or give its remote a shorter alias.')];
}

function listedDescription(description: unknown): Finding[] {
  const { descriptionBytes } = definitionLimits;
  const isRight = typeof description === 'string' && byteLength(description) <= descriptionBytes;
  if (isRight) return [];
  return [
    refusal('description', 'description_form', `must be text of at most ${descriptionBytes} bytes`, 'Shorten it.'),
  ];
}

function listedSchema(where: string, schema: unknown): Finding[] {
  const remedy = 'Correct the schema where the tool is defined.';
  if (!isRecord(schema)) return [refusal(where, 'schema_form', 'must be a JSON Schema object', remedy)];
  const { properties, required, type } = schema;
  const problems = [
    type === 'object' ? '' : 'must have "type": "object" at its root',
    ...rootCombinators.map((keyword) => (Object.hasOwn(schema, keyword) ? `may not have ${keyword} at its root` : '')),
    properties === undefined || isSchemaMap(properties) ? '' : 'must have an object of schemas as its properties',
    required === undefined || isNames(required) ? '' : 'must have a list of names as its required',
    isWithinDepth(schema, definitionLimits.schemaDepth)
      ? ''
      : `nests deeper than ${definitionLimits.schemaDepth} levels`,
    isRecord(properties) && Object.values(properties).some(hasHeader) ? 'may not have x-mcp-header' : '',
  ];
  return problems.filter((problem) => problem !== '').map((problem) => refusal(where, 'schema_form', problem, remedy));
}

const isSchemaMap = (value: unknown): boolean =>
  isRecord(value) && Object.values(value).every((one) => isRecord(one) || typeof one === 'boolean');
const isNames = (value: unknown): boolean => Array.isArray(value) && value.every((name) => typeof name === 'string');
const hasHeader = (schema: unknown): boolean => isRecord(schema) && Object.hasOwn(schema, 'x-mcp-header');

function listedAnnotations(annotations: unknown): Finding[] {
  if (annotations === undefined) return [];
  const isRight =
    isRecord(annotations) &&
    hints.every((hint) => annotations[hint] === undefined || typeof annotations[hint] === 'boolean') &&
    (annotations.title === undefined || typeof annotations.title === 'string');
  return isRight
    ? []
    : [
        refusal(
          'annotations',
          'annotations_form',
          'must be an object of true and false hints',
          'Correct or remove them.',
        ),
      ];
}
