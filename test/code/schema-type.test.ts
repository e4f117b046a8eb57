import { describe, expect, it } from 'vitest';
import { typeOfSchema } from '../../src/code/schema-type.ts';

const text = { type: 'string' };
const number = { type: 'number' };
const object = (properties: object, more: object = {}) => ({ type: 'object', properties, ...more });

describe('the type of a schema', () => {
  it.each<[unknown, string]>([
    [text, 'string'],
    [{ type: 'integer' }, 'number'],
    [{ type: ['string', 'null'] }, 'string | null'],
    [{ enum: ['a', 1, null, true] }, '"a" | 1 | null | true'],
    [{ const: 'a' }, '"a"'],
    [{ enum: [{ a: 1 }, 'b'] }, 'any'],
    [{ type: 'array', items: text }, 'string[]'],
    [{ type: 'array', items: { enum: ['a', 'b'] } }, '("a" | "b")[]'],
    [{ type: 'array' }, 'any[]'],
    [{ type: 'array', prefixItems: [text, number], items: false }, '[string?, number?]'],
    [{ type: 'array', prefixItems: [text], items: number }, '[string?, ...number[]]'],
    [{ anyOf: [text, number] }, 'string | number'],
    [{ oneOf: [text, {}] }, 'any'],
    [{ allOf: [object({ a: text }), object({ b: text })] }, '{ a?: string } & { b?: string }'],
    [object({ a: text }, { required: ['a'] }), '{ a: string }'],
    [object({ a: text, 'b c': number }), '{ a?: string; "b c"?: number }'],
    [object({ a: text }, { additionalProperties: true }), '{ a?: string; [key: string]: any }'],
    [{ type: 'object', additionalProperties: number }, '{ [key: string]: number }'],
    [{ type: 'object', additionalProperties: false }, '{ [key: string]: never }'],
    [{ type: 'object' }, 'any'],
    [{ $ref: '#/$defs/a~1b', $defs: { 'a/b': text } }, 'string'],
    [{ $ref: '#/nowhere' }, 'any'],
    [{ $ref: 'https://example.org/a.json' }, 'any'],
    [true, 'any'],
    [false, 'never'],
    [{}, 'any'],
    [{ type: 'strange' }, 'any'],
    [null, 'any'],
    ['text', 'any'],
  ])('%j is %s', (schema, type) => {
    expect(typeOfSchema(schema, 'read')).toBe(type);
  });

  it('that is written takes more where the schema does, and no more where it does not', () => {
    expect(typeOfSchema(object({ a: text }), 'written')).toBe('{ a?: string; [key: string]: any }');
    expect(typeOfSchema(object({ a: text }, { additionalProperties: false }), 'written')).toBe('{ a?: string }');
  });

  it('holds no code of the schema’s author', () => {
    const evil = '"; import("x"); */ } `\u0024{a}` // \n\u2028';
    const schema = object({
      [evil]: { const: evil },
      b: { tsType: evil, type: 'string', description: evil, title: evil },
    });
    const type = typeOfSchema(schema, 'read');
    expect(type).toBe(`{ ${JSON.stringify(evil)}?: ${JSON.stringify(evil)}; b?: string }`);
    expect(type).not.toContain('\n');
  });

  it('stays small however often a reference is repeated, and however deep it goes', () => {
    const $defs = Object.fromEntries(
      Array.from({ length: 40 }, (_, i) => [
        `d${i}`,
        object({ a: { $ref: `#/$defs/d${i + 1}` }, b: { $ref: `#/$defs/d${i + 1}` } }),
      ]),
    );
    expect(typeOfSchema({ $ref: '#/$defs/d0', $defs }, 'read').length).toBeLessThan(100_000);
    expect(typeOfSchema({ $ref: '#' }, 'read')).toBe('any');
  });
});
