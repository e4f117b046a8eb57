import type { ErrorObject, Options, ValidateFunction } from 'ajv';
import type { JsonSchema } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import { describeProblems } from './problems.ts';
import { isDraft07 } from './schema-keywords.ts';
import { decidingPart, readTree } from './schema-tree.ts';

/** Gives what is wrong with a value, in sentences such as `input.a must be a number`; empty when it fits. Never throws. */
export type Validator = (value: unknown) => string[];

/** One compiled form of a schema: its errors for a value, with what the patterns cost. */
type Check = (value: unknown) => { errors: ErrorObject[]; isTooLong: boolean; isUnfit: boolean };

interface Compiled {
  first: Check;
  /** Finds all errors instead of the first; compiled when a value first fails. */
  all: () => Check;
  /** How many objects, lists and plain values a value may have for all its errors to be looked for. */
  maxNodes: number;
}

type MakeAjv = (options: Options) => { compile(schema: JsonSchema): ValidateFunction };

// Steps of the pattern engine for one value: about a second. RE2 is linear in the text, but times the pattern's size.
const maxPatternSteps = 50_000_000;
// All errors are looked for in small values only: a list of a million wrong rows has a million errors.
const smallValue = { nodes: 1_000, characters: 10_000, nodesTimesSchemas: 50_000 };

const compiled = new WeakMap<JsonSchema, Promise<Compiled>>();

/**
 * Compiles a schema into a check of values, once for each schema object. Nothing is coerced, filled in or removed;
 * formats are not checked; patterns run in linear time.
 * @throws WeaverError `not_supported` when the schema does not compile; one without errors from `checkSchema` does.
 */
export async function compileValidator(schema: JsonSchema, root: 'input' | 'output' = 'input'): Promise<Validator> {
  const pending = compiled.get(schema) ?? compile(schema);
  compiled.set(schema, pending);
  const { first, all, maxNodes } = await pending;
  return (value) => {
    const quick = first(value);
    if (quick.isTooLong) return [`${root} holds more text than its patterns can check; make its texts shorter`];
    if (quick.isUnfit)
      return [`${root} has a property toString or valueOf where its allowed values are compared; rename it`];
    if (quick.errors.length === 0) return [];
    const { errors } = isSmall(value, maxNodes) ? all()(value) : quick;
    return describeProblems(root, errors.length === 0 ? quick.errors : errors);
  };
}

async function compile(schema: JsonSchema): Promise<Compiled> {
  const make = await loadAjv(schema);
  const { linearPattern } = await import('./schema-pattern.ts');
  const build = (allErrors: boolean) => buildCheck(make, schema, allErrors, linearPattern);
  try {
    const first = build(false);
    let all: Check | undefined;
    const schemas = readTree('', schema).length;
    return {
      first,
      maxNodes: Math.min(smallValue.nodes, smallValue.nodesTimesSchemas / schemas),
      all: () => {
        all ??= build(true);
        return all;
      },
    };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : 'unknown';
    throw new WeaverError('not_supported', `The schema does not compile: ${reason}`, {
      hint: 'Save it anew with a schema that passes validate_skill, which names the keyword.',
      cause,
    });
  }
}

async function loadAjv(schema: JsonSchema): Promise<MakeAjv> {
  if (isDraft07(schema)) {
    const { default: draft07 } = await import('ajv');
    return (options) => new draft07.Ajv(options);
  }
  // The default alone is the same from node_modules and from the bundle: these are CommonJS modules.
  const { default: draft2020 } = await import('ajv/dist/2020.js');
  return (options) => new draft2020.Ajv2020(options);
}

type LinearPatternMaker = typeof import('./schema-pattern.ts').linearPattern;

function buildCheck(make: MakeAjv, schema: JsonSchema, allErrors: boolean, linearPattern: LinearPatternMaker): Check {
  let steps = 0;
  const metered = (source: string) => {
    const pattern = linearPattern(source);
    return {
      test: (text: string) => {
        steps += pattern.steps * text.length;
        return steps <= maxPatternSteps && pattern.test(text);
      },
      // Ajv tells patterns apart by this.
      toString: () => source,
    };
  };
  const regExp = Object.assign(metered, { code: 'linearPattern' });
  // Ajv looks for `$id` and `$anchor` in examples and unknown keywords too, and throws at some.
  const validate = make({ ...ajvOptions, allErrors, code: { regExp } }).compile(Object(decidingPart(schema)));
  return (value) => {
    steps = 0;
    const isValid = tryValidate(validate, value);
    const errors = isValid === false ? [...(validate.errors ?? [])] : [];
    validate.errors = null; // They hold on to the value.
    return { errors, isTooLong: steps > maxPatternSteps, isUnfit: isValid === undefined };
  };
}

// Ajv compares with enum and const by a function that calls `toString` and `valueOf` of the value, data or not.
function tryValidate(validate: ValidateFunction, value: unknown): boolean | undefined {
  try {
    return validate(value) === true;
  } catch {
    return undefined; // The caller refuses the value and says why.
  }
}

const ajvOptions: Options = {
  strict: false,
  // JSON.parse makes Infinity of 1e400, which no schema allows.
  strictNumbers: true,
  logger: false,
  meta: false,
  validateSchema: false,
  validateFormats: false,
  verbose: true,
  // Without it `required: ['toString']` is met by every object.
  ownProperties: true,
  coerceTypes: false,
  useDefaults: false,
  removeAdditional: false,
};

function isSmall(value: unknown, maxNodes: number): boolean {
  let characters = 0;
  const open = [value];
  for (const node of open) {
    if (typeof node === 'string') characters += node.length;
    if (open.length > maxNodes || characters > smallValue.characters) return false;
    if (node === null || typeof node !== 'object') continue;
    const keys = Object.keys(node);
    if (keys.length > maxNodes) return false;
    for (const key of keys) characters += key.length;
    open.push(...Object.values(node));
  }
  return true;
}
