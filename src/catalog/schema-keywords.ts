import { isRecord } from '../json.ts';

const isText = (value: unknown): value is string => typeof value === 'string';
const isNames = (value: unknown): value is string[] => Array.isArray(value) && value.every(isText);
const isSchema = (value: unknown): boolean => typeof value === 'boolean' || isRecord(value);
const isSchemas = (value: unknown): boolean => Array.isArray(value) && value.length > 0 && value.every(isSchema);

/** What the value of a keyword can be: how to tell, and how to say it. */
export const shapes = {
  schema: { fits: isSchema, wants: 'a schema (an object, true or false)' },
  schemas: { fits: isSchemas, wants: 'a list of at least one schema' },
  schemaMap: {
    fits: (value) => isRecord(value) && Object.values(value).every(isSchema),
    wants: 'an object whose values are schemas',
  },
  namesOrSchemas: {
    fits: (value) => isRecord(value) && Object.values(value).every((one) => isSchema(one) || isNames(one)),
    wants: 'an object whose values are schemas or lists of names',
  },
  namesMap: {
    fits: (value) => isRecord(value) && Object.values(value).every(isNames),
    wants: 'an object whose values are lists of names',
  },
  names: { fits: isNames, wants: 'a list of property names' },
  types: { fits: (value) => isText(value) || (isNames(value) && value.length > 0), wants: 'a type or a list of types' },
  count: { fits: (value) => Number.isSafeInteger(value) && Number(value) >= 0, wants: 'a whole number from 0 on' },
  number: { fits: Number.isFinite, wants: 'a number' },
  positive: { fits: (value) => Number.isFinite(value) && Number(value) > 0, wants: 'a number above 0' },
  text: { fits: isText, wants: 'text' },
  flag: { fits: (value) => typeof value === 'boolean', wants: 'true or false' },
  list: { fits: (value) => Array.isArray(value) && value.length > 0, wants: 'a list of at least one value' },
  any: { fits: () => true, wants: 'any value' },
} as const satisfies Record<string, { fits: (value: unknown) => boolean; wants: string }>;

export type Shape = keyof typeof shapes;

const of = <S extends Shape>(shape: S, ...names: string[]): [string, Shape][] => names.map((name) => [name, shape]);

/** The keywords of JSON Schema 2020-12 that ToolWeaver takes, and those of draft-07 that still have a meaning. */
export const keywords: ReadonlyMap<string, Shape> = new Map([
  ...of('schemaMap', 'properties', 'patternProperties', 'dependentSchemas', '$defs', 'definitions'),
  ...of('schema', 'items', 'additionalProperties', 'propertyNames', 'contains', 'not', 'if', 'then', 'else'),
  ...of('schema', 'unevaluatedItems', 'unevaluatedProperties', 'contentSchema', 'additionalItems'),
  ...of('schemas', 'allOf', 'anyOf', 'oneOf', 'prefixItems'),
  ...of('namesOrSchemas', 'dependencies'),
  ...of('namesMap', 'dependentRequired'),
  ...of('names', 'required'),
  ...of('types', 'type'),
  ...of('count', 'minLength', 'maxLength', 'minItems', 'maxItems', 'minProperties', 'maxProperties'),
  ...of('count', 'minContains', 'maxContains'),
  ...of('number', 'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'),
  ...of('positive', 'multipleOf'),
  ...of('text', 'title', 'description', '$comment', 'format', 'pattern', 'contentEncoding', 'contentMediaType'),
  ...of('text', '$schema', '$id', '$ref'),
  ...of('flag', 'uniqueItems', 'deprecated', 'readOnly', 'writeOnly'),
  ...of('list', 'enum'),
  ...of('any', 'const', 'default', 'examples', 'example'),
]);

/** Keywords that are refused, each with what to write instead. */
export const refusedKeywords: ReadonlyMap<string, string> = new Map([
  ['x-mcp-header', 'Remove it: clients drop tools that have it.'],
  ['nullable', 'Write the type as a list, such as ["string", "null"].'],
  ['id', 'Remove it; definitions are found by their place, #/$defs/name.'],
  ['$anchor', 'Point with #/$defs/name instead.'],
  ['$dynamicAnchor', 'Point with #/$defs/name instead.'],
  ['$dynamicRef', 'Point with $ref and #/$defs/name instead.'],
  ['$recursiveAnchor', 'Point with #/$defs/name instead.'],
  ['$recursiveRef', 'Point with $ref and #/$defs/name instead.'],
  ['$vocabulary', 'Remove it.'],
  ['$async', 'Remove it.'],
]);

/** Keywords that draft-07 lacks, and those that 2020-12 has lost. */
export const newerKeywords: ReadonlySet<string> = new Set(
  'prefixItems dependentRequired dependentSchemas minContains maxContains unevaluatedItems unevaluatedProperties'.split(
    ' ',
  ),
);
export const olderKeywords: ReadonlySet<string> = new Set(['additionalItems']);

/** Every type of JSON Schema. */
export const types = ['string', 'number', 'integer', 'boolean', 'object', 'array', 'null'] as const;

/** The words of other languages for these types. */
export const foreignTypes: ReadonlyMap<string, string> = new Map(
  Object.entries({
    string: 'str text char',
    integer: 'int long',
    number: 'float double decimal',
    boolean: 'bool',
    object: 'dict map record',
    array: 'list tuple',
    null: 'none nil',
  }).flatMap(([type, words]) => words.split(' ').map((word) => [word, type] as const)),
);

/** The formats of JSON Schema 2020-12 (validation, section 7.3). They inform the reader; nothing is checked against them. */
export const formats: ReadonlySet<string> = new Set(
  (
    'date-time date time duration email idn-email hostname idn-hostname ipv4 ipv6 uri uri-reference iri iri-reference ' +
    'uuid uri-template json-pointer relative-json-pointer regex int32 int64 float double byte binary password'
  ).split(' '),
);

/** True when `$schema` names draft-07, whose `items` may be a list. */
export const isDraft07 = (schema: unknown): boolean =>
  isRecord(schema) &&
  typeof schema.$schema === 'string' &&
  /^https?:\/\/json-schema\.org\/draft-07\/schema#?$/.test(schema.$schema);
