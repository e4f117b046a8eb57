import { describe, expect, it } from 'vitest';
import { compileValidator } from '../../src/catalog/validator.ts';
import type { JsonSchema } from '../../src/contracts.ts';

const problems = async (schema: JsonSchema, value: unknown, root?: 'input' | 'output') =>
  (await compileValidator(schema, root))(value);
const object = (properties: Record<string, unknown>, more: JsonSchema = {}): JsonSchema => ({
  type: 'object',
  properties,
  ...more,
});

describe('a value that does not fit', () => {
  it.each<[unknown, unknown, string]>([
    [{ type: 'number' }, 'x', 'input.a must be a number'],
    [{ type: ['string', 'null'] }, 1, 'input.a must be a string or null'],
    [{ type: 'boolean' }, 1, 'input.a must be true or false'],
    [{ type: 'array', items: { type: 'integer' } }, [1, 1.5], 'input.a[1] must be an integer'],
    [{ enum: ['x', 2, null] }, 'y', 'input.a must be one of "x", 2, null'],
    [{ const: 'x' }, 'y', 'input.a must be "x"'],
    [{ minimum: 3 }, 2, 'input.a must be at least 3'],
    [{ exclusiveMaximum: 3 }, 3, 'input.a must be less than 3'],
    [{ minLength: 3 }, 'ab', 'input.a must have at least 3 characters'],
    [{ type: 'array', maxItems: 1 }, [1, 2], 'input.a must have at most 1 items'],
    [{ pattern: '^x+$' }, 'y', 'input.a must match the pattern ^x+$'],
    [{ multipleOf: 2 }, 3, 'input.a must be a multiple of 2'],
    [false, 1, 'input.a is not taken'],
    [{ not: { type: 'string' } }, 'x', 'input.a has a form that is not allowed'],
    [{ anyOf: [{ type: 'string' }, { type: 'null' }] }, 1, 'input.a must be a string, or input.a must be null'],
    [
      { oneOf: [{ type: 'number' }, { type: 'integer' }] },
      1,
      'input.a must fit exactly one of its forms, but fits more',
    ],
    [{ type: 'array', contains: { const: 1 } }, [2], 'input.a must hold an item of the form that "contains" asks for'],
    [
      { type: 'array', uniqueItems: true, items: { type: 'string' } },
      ['x', 'x'],
      'input.a must not hold the same item twice (items 0 and 1)',
    ],
    [{ propertyNames: { pattern: '^x' } }, { y: 1 }, 'input.a.y is not a name that is taken'],
  ])('%j answers %j with: %s', async (a, value, problem) => {
    expect(await problems(object({ a }), { a: value })).toEqual([problem]);
  });

  it('is named by the root word it is asked for', async () => {
    expect(await problems(object({}), 1, 'output')).toEqual(['output must be an object']);
    expect(await problems(object({}), undefined)).toEqual(['input must be an object']);
  });

  it('has every missing property named', async () => {
    expect(await problems(object({}, { required: ['a', 'b'] }), {})).toEqual([
      'input.a is missing',
      'input.b is missing',
    ]);
  });

  it('gets the name that was meant for an unknown property', async () => {
    const schema = object({ name: {}, age: {} }, { additionalProperties: false });
    expect(await problems(schema, { nmae: 1 })).toEqual([
      'input.nmae is not a property that is taken. Did you mean "name"?',
    ]);
    expect(await problems(schema, { colour: 1 })).toEqual([
      'input.colour is not a property that is taken. It takes "name", "age".',
    ]);
  });

  it('gets at most ten of the allowed values', async () => {
    const [problem] = await problems(object({ a: { enum: Array.from({ length: 30 }, (_, i) => i) } }), { a: 'x' });
    expect(problem).toBe('input.a must be one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 20 more');
  });

  it('gets five problems, then how many more there are', async () => {
    const found = await problems(object({}, { required: ['a', 'b', 'c', 'd', 'e', 'f', 'g'] }), {});
    expect(found).toHaveLength(6);
    expect(found[5]).toBe('… and 2 more');
  });

  it('never has its raw hidden characters printed', async () => {
    const [problem] = await problems(object({}, { additionalProperties: false }), { 'a\u202E\u001b[31m': 1 });
    expect(problem).toContain('\\\\u{202e}');
  });
});

describe('a value', () => {
  it('is neither coerced nor filled in nor reduced', async () => {
    const schema = object({ a: { type: 'number', default: 1 }, b: { type: 'string' } }, { additionalProperties: true });
    const value = { b: 'x', c: 1 };
    expect(await problems(schema, value)).toEqual([]);
    expect(value).toEqual({ b: 'x', c: 1 });
    expect(await problems(schema, { a: '1' })).toEqual(['input.a must be a number']);
  });

  it('with the key __proto__ pollutes nothing and is an unknown property', async () => {
    const value = JSON.parse('{"__proto__":{"polluted":true}}');
    const found = await problems(object({ a: {} }, { additionalProperties: false }), value);
    expect(found).toEqual(['input.__proto__ is not a property that is taken. It takes "a".']);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  it('does not have what every object inherits', async () => {
    expect(await problems(object({}, { required: ['toString'] }), {})).toEqual(['input.toString is missing']);
  });

  it('whose toString is data is refused, not thrown at, where objects are compared', async () => {
    const schema = object({ a: { enum: [{ x: 1 }] } });
    const [problem] = await problems(schema, { a: { toString: 1 } });
    expect(problem).toContain('toString');
  });

  it('of a million wrong rows gets one problem, without a million errors', async () => {
    const rows = Array.from({ length: 1_000_000 }, () => 'x');
    expect(await problems(object({ a: { type: 'array', items: { type: 'number' } } }), { a: rows })).toEqual([
      'input.a[0] must be a number',
    ]);
  });

  it('with wrong rows has the choices of each row told apart', async () => {
    const row = { anyOf: [{ type: 'string' }, { type: 'object', properties: { x: { type: 'number' } } }] };
    const rows = [1, { x: 'y' }];
    expect(await problems(object({ a: { type: 'array', items: row } }), { a: rows })).toEqual([
      'input.a[0] must be a string, or input.a[0] must be an object',
      'input.a[1] must be a string, or input.a[1].x must be a number',
    ]);
  });

  it('that fits none of very many forms is answered at once', async () => {
    const items = { anyOf: Array.from({ length: 1_000 }, (_, i) => ({ const: i })) };
    const found = await problems(object({ a: { type: 'array', items } }), {
      a: Array.from({ length: 900 }, () => 'x'),
    });
    expect(found).toEqual([
      'input.a[0] must be 0, or input.a[0] must be 1, or input.a[0] must be 2, or 47 other forms',
    ]);
  });

  it('nested 200,000 times is answered', async () => {
    let deep: unknown = 1;
    for (let i = 0; i < 200_000; i++) deep = [deep];
    expect(await problems(object({ a: { type: 'number' } }), { a: deep })).toEqual(['input.a must be a number']);
    expect(await problems(object({ a: {} }), { a: deep })).toEqual([]);
  });
});

describe('patterns', () => {
  it('that stop a backtracking engine are answered in linear time', async () => {
    const schema = object({ a: { type: 'string', pattern: '^(a+)+$' } });
    expect(await problems(schema, { a: `${'a'.repeat(100_000)}!` })).toEqual([
      'input.a must match the pattern ^(a+)+$',
    ]);
  });

  it('are each their own, though all run on one engine', async () => {
    const schema = object({ a: { pattern: '^x' }, b: { pattern: '^y' } });
    expect(await problems(schema, { a: 'x', b: 'y' })).toEqual([]);
    expect(await problems(schema, { a: 'y', b: 'y' })).toEqual(['input.a must match the pattern ^x']);
  });

  it('that would compute for long over a huge text refuse it', async () => {
    const schema = object({ a: { not: { pattern: 'a[ab]{900}c' } } });
    const [problem] = await problems(schema, { a: 'ab'.repeat(500_000) });
    expect(problem).toContain('make its texts shorter');
    expect(await problems(schema, { a: 'abab' })).toEqual([]);
  });
});

describe('compiling', () => {
  it('happens once for a schema, for both root words', async () => {
    const schema = object({ a: { type: 'number' } });
    await compileValidator(schema);
    (schema.properties as Record<string, unknown>).a = { type: 'string' };
    expect(await problems(schema, { a: 'x' }, 'output')).toEqual(['output.a must be a number']);
  });

  it('of a schema that nobody checked throws not_supported', async () => {
    const bad = object({ a: { $ref: '#/$defs/none' } });
    await expect(compileValidator(bad)).rejects.toMatchObject({ code: 'not_supported' });
    await expect(compileValidator(object({ a: { pattern: '(?=a)' } }))).rejects.toMatchObject({
      code: 'not_supported',
    });
  });

  it('ignores ids and anchors that stand in examples or unknown keywords', async () => {
    const odd = { $id: 'x', $anchor: '!!' };
    const schema = object({ a: { type: 'number', 'x-odd': odd, examples: [odd], example: odd } }, { $id: 'urn:x' });
    expect(await problems(schema, { a: 1 })).toEqual([]);
  });
});
