import type { ErrorObject } from 'ajv';
import { isRecord } from '../json.ts';
import { shortText } from '../text/clean.ts';
import { didYouMean } from '../text/nearest.ts';
import { memberPath } from './schema-tree.ts';

const maxProblems = 5;
const maxListed = 10;
const maxForms = 3;
const maxBranches = 50;

type Problem = (at: string, error: ErrorObject) => string;

/** Turns the errors of Ajv into sentences that begin with the path: at most five, then how many more there are. */
export function describeProblems(root: string, errors: readonly ErrorObject[]): string[] {
  const choices = new Set(errors.filter(isChoice).map((error) => error.schemaPath));
  const own = errors.filter((error) => !isInside(choices, error.schemaPath) && error.keyword !== 'if');
  const sentences = new Set<string>();
  let described = 0;
  for (const error of own) {
    if (sentences.size >= maxProblems) break;
    sentences.add(sentence(root, error, errors));
    described++;
  }
  return own.length > described ? [...sentences, `… and ${own.length - described} more`] : [...sentences];
}

// The error of a choice stands for those of its branches.
const isChoice = ({ keyword }: ErrorObject): boolean => choiceKeywords.has(keyword);
const choiceKeywords = new Set(['anyOf', 'oneOf', 'not', 'contains', 'propertyNames']);

function isInside(choices: ReadonlySet<string>, schemaPath: string): boolean {
  for (let end = schemaPath.lastIndexOf('/'); end > 0; end = schemaPath.lastIndexOf('/', end - 1)) {
    if (choices.has(schemaPath.slice(0, end))) return true;
  }
  return false;
}

function sentence(root: string, error: ErrorObject, all: readonly ErrorObject[]): string {
  const at = pathOf(root, error.instancePath);
  if (error.keyword === 'anyOf' || (error.keyword === 'oneOf' && error.params.passingSchemas === null)) {
    const branches = all.filter((other) => isBranch(error, other)).slice(0, maxBranches);
    return choice(at, [...new Set(branches.map((other) => sentence(root, other, [])))]);
  }
  return problems[error.keyword]?.(at, error) ?? `${at} ${error.message ?? 'does not fit the schema'}`;
}

const isBranch = (outer: ErrorObject, inner: ErrorObject): boolean =>
  inner.schemaPath.startsWith(`${outer.schemaPath}/`) && `${inner.instancePath}/`.startsWith(`${outer.instancePath}/`);

function choice(at: string, branches: readonly string[]): string {
  if (branches.length === 0) return `${at} fits none of the forms it may have`;
  const more = branches.length > maxForms ? `, or ${branches.length - maxForms} other forms` : '';
  return branches.slice(0, maxForms).join(', or ') + more;
}

function pathOf(root: string, instancePath: string): string {
  const tokens = instancePath.split('/').slice(1);
  return tokens.reduce((path, token) => {
    const key = token.replaceAll('~1', '/').replaceAll('~0', '~');
    return memberPath(path, /^\d{1,9}$/.test(key) ? Number(key) : key);
  }, root);
}

const articles: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  integer: 'an integer',
  boolean: 'true or false',
  object: 'an object',
  array: 'a list',
  null: 'null',
};

const limit =
  (words: (bound: string) => string): Problem =>
  (at, { params }) =>
    `${at} must ${words(String(params.limit))}`;

const comparisons: Readonly<Record<string, string>> = {
  '>=': 'at least',
  '<=': 'at most',
  '>': 'more than',
  '<': 'less than',
};
const compared: Problem = (at, { params }) => `${at} must be ${comparisons[params.comparison] ?? ''} ${params.limit}`;

const unknownProperty: Problem = (at, error) => {
  const name = String(error.params.additionalProperty ?? error.params.unevaluatedProperty);
  const known = knownProperties(error.parentSchema);
  const near = didYouMean(name, known);
  const takes = known.length === 0 ? ' It takes no properties.' : ` It takes ${listed(known)}.`;
  return `${memberPath(at, name)} is not a property that is taken.${near || takes}`;
};

const knownProperties = (schema: unknown): string[] =>
  isRecord(schema) && isRecord(schema.properties) ? Object.keys(schema.properties) : [];

function listed(values: readonly unknown[]): string {
  const shown = values
    .slice(0, maxListed)
    .map((value) => shortText(jsonText(value), 80))
    .join(', ');
  return values.length > maxListed ? `${shown} and ${values.length - maxListed} more` : shown;
}

const jsonText = (value: unknown): string => JSON.stringify(value) ?? 'nothing';

const problems: Readonly<Record<string, Problem>> = {
  type: (at, { params }) =>
    `${at} must be ${[params.type]
      .flat()
      .map((type: string) => articles[type] ?? type)
      .join(' or ')}`,
  required: (at, { params }) => `${memberPath(at, params.missingProperty)} is missing`,
  dependentRequired: (at, { params }) =>
    `${memberPath(at, params.missingProperty)} is missing; ${shortText(params.property)} needs it`,
  dependencies: (at, { params }) =>
    `${memberPath(at, params.missingProperty)} is missing; ${shortText(params.property)} needs it`,
  additionalProperties: unknownProperty,
  unevaluatedProperties: unknownProperty,
  enum: (at, { params }) => `${at} must be one of ${listed(params.allowedValues)}`,
  const: (at, { params }) => `${at} must be ${listed([params.allowedValue])}`,
  minimum: compared,
  maximum: compared,
  exclusiveMinimum: compared,
  exclusiveMaximum: compared,
  multipleOf: (at, { params }) => `${at} must be a multiple of ${params.multipleOf}`,
  minLength: limit((bound) => `have at least ${bound} characters`),
  maxLength: limit((bound) => `have at most ${bound} characters`),
  minItems: limit((bound) => `have at least ${bound} items`),
  maxItems: limit((bound) => `have at most ${bound} items`),
  minProperties: limit((bound) => `have at least ${bound} properties`),
  maxProperties: limit((bound) => `have at most ${bound} properties`),
  pattern: (at, { params }) => `${at} must match the pattern ${shortText(String(params.pattern), 100)}`,
  uniqueItems: (at, { params }) =>
    `${at} must not hold the same item twice (items ${Math.min(params.i, params.j)} and ${Math.max(params.i, params.j)})`,
  oneOf: (at) => `${at} must fit exactly one of its forms, but fits more`,
  not: (at) => `${at} has a form that is not allowed`,
  contains: (at) => `${at} must hold an item of the form that "contains" asks for`,
  propertyNames: (at, { params }) => `${memberPath(at, params.propertyName)} is not a name that is taken`,
  additionalItems: limit((bound) => `have at most ${bound} items`),
  unevaluatedItems: limit((bound) => `have at most ${bound} items`),
  'false schema': (at) => `${at} is not taken`,
};
