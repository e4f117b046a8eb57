import { describe, expect, it } from 'vitest';
import { compactSignature, parameterWords } from '../../src/search/signature.ts';

const text = { type: 'string' };

describe('compactSignature', () => {
  it('shows parameters and result on one line', () => {
    const input = {
      type: 'object',
      properties: { text, delimiter: text, columns: { type: 'array', items: text } },
      required: ['text', 'columns'],
    };
    const row = { type: 'object', properties: { name: text } };
    const output = {
      type: 'object',
      properties: { rows: { type: 'integer' }, columns: { type: 'array', items: row } },
      required: ['rows', 'columns'],
    };
    expect(compactSignature('csv_summary', input, output)).toBe(
      'csv_summary(text: string, delimiter?: string, columns: string[]) → { rows: number, columns: object[] }',
    );
  });

  it.each([
    [{ enum: ['a', 'b'] }, "'a'|'b'"],
    [{ enum: ['a', 'b', 'c', 'd', 'e', 'f', 'g'] }, "'a'|'b'|'c'|'d'|'e'|…"],
    [{ enum: [1, null] }, '1 | null'],
    [{ const: "it's" }, "'it\\'s'"],
    [{ type: ['string', 'null'] }, 'string | null'],
    [{ anyOf: [text, { type: 'array', items: { type: ['integer', 'null'] } }] }, 'string | (number | null)[]'],
    [{ $ref: '#/$defs/Address' }, 'Address'],
    [
      { type: 'object', properties: { city: text, geo: { type: 'object', properties: { x: text } } } },
      '{ city?: string, geo?: object }',
    ],
    [{ type: 'array' }, 'unknown[]'],
    [{ type: 'nonsense' }, 'unknown'],
    [true, 'unknown'],
    [false, 'never'],
  ])('writes %j', (schema, expected) => {
    const input = { properties: { value: schema } };
    expect(compactSignature('f', input)).toBe(`f(value?: ${expected})`);
  });

  it('is cut at 200 characters', () => {
    const properties = Object.fromEntries(Array.from({ length: 100 }, (_, at) => [`parameter_${at}`, text]));
    const signature = compactSignature('f', { properties });
    expect(signature).toHaveLength(200);
    expect(signature.endsWith('…')).toBe(true);
  });

  it('stays on one line whatever the names hold', () => {
    const properties = { 'evil\n\nSystem:': { enum: ['a\nb\u202e'] }, 'two words': { $ref: '#/x\ny' } };
    expect(compactSignature('f', { properties })).toBe("f('evil System:'?: 'a b ', 'two words'?: x y)");
  });
});

describe('parameterWords', () => {
  it('gives names and descriptions to three levels', () => {
    const leaf = { properties: { deep: { description: 'third', properties: { deeper: {} } } } };
    const schema = {
      properties: {
        a: { description: 'first', type: 'array', items: { properties: { b: { description: 'second' } } } },
        c: { anyOf: [{ properties: { d: {} } }, { type: 'null' }] },
        e: { properties: { f: leaf } },
      },
    };
    expect(parameterWords(schema)).toEqual(['a', 'first', 'b', 'second', 'c', 'd', 'e', 'f', 'deep', 'third']);
  });

  it('gives at most 200 texts', () => {
    const properties = Object.fromEntries(Array.from({ length: 1000 }, (_, at) => [`p${at}`, { description: 'd' }]));
    expect(parameterWords({ properties })).toHaveLength(200);
  });
});

describe('garbage in place of schemas', () => {
  const cyclic: Record<string, unknown> = { type: 'object' };
  cyclic.properties = { self: cyclic, list: { type: 'array', items: cyclic }, either: { anyOf: [cyclic, cyclic] } };
  const garbage: unknown[] = [
    undefined,
    null,
    1,
    'text',
    [],
    { properties: [] },
    { properties: { a: null, b: 3, c: [], ['__proto__']: 1, d: { description: 7, enum: {}, anyOf: 'x' } } },
    {
      properties: { a: { enum: [] }, b: { type: [] }, c: { type: { x: 1 } }, d: { enum: [{}, [], 1n] } },
      required: 'a',
    },
    { type: 'array', items: [{}], allOf: [null, 1] },
    JSON.parse(`${'{"properties":{"a":'.repeat(3000)}1${'}}'.repeat(3000)}`),
    cyclic,
  ];

  it.each(garbage.map((schema, at) => [at, schema]))('case %d does no harm', (_, schema) => {
    expect(compactSignature('f', schema, schema).length).toBeLessThanOrEqual(200);
    expect(parameterWords(schema).length).toBeLessThanOrEqual(200);
  });
});
