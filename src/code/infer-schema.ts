import type { JsonSchema } from '../contracts.ts';
import { isRecord } from '../json.ts';

/**
 * A JSON Schema that the values fit: types as seen, properties required where every value has them. At least one value; what
 * more values would show is not known.
 */
export function inferSchema(values: readonly unknown[]): JsonSchema {
  const kinds = [...new Set(values.map(kindOf))].sort();
  // Every integer is a number.
  const types = kinds.includes('number') ? kinds.filter((kind) => kind !== 'integer') : kinds;
  return {
    ...(types.length === 1 ? { type: types[0] } : types.length > 1 ? { type: types } : {}),
    ...objectPart(values.filter(isRecord)),
    ...arrayPart(values.filter((value) => Array.isArray(value))),
  };
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value;
}

function objectPart(objects: readonly Record<string, unknown>[]): JsonSchema {
  if (objects.length === 0) return {};
  const names = [...new Set(objects.flatMap((object) => Object.keys(object)))];
  const having = (name: string) => objects.filter((object) => Object.hasOwn(object, name));
  const required = names.filter((name) => having(name).length === objects.length);
  return {
    properties: Object.fromEntries(
      names.map((name) => [name, inferSchema(having(name).map((object) => object[name]))]),
    ),
    ...(required.length > 0 && { required }),
  };
}

function arrayPart(arrays: readonly unknown[][]): JsonSchema {
  const items = arrays.flat();
  return items.length === 0 ? {} : { items: inferSchema(items) };
}
