import { describe, expect, it } from 'vitest';
import { byteLength, canonicalJson, isRecord, isSameJson, isWithinDepth, sha256 } from '../src/json.ts';

const nested = (depth: number): unknown => {
  let value: unknown = 1;
  for (let n = 0; n < depth; n++) value = n % 2 ? { a: value } : [value];
  return value;
};

describe('canonical JSON', () => {
  it('is the same for equal values, whatever the order of their keys (RFC 8785)', () => {
    expect(canonicalJson({ b: 1, a: [1e21, -0, 'é'] })).toBe('{"a":[1e+21,0,"é"],"b":1}');
    expect(isSameJson({ a: 1, b: { c: 2, d: 3 } }, { b: { d: 3, c: 2 }, a: 1 })).toBe(true);
    expect(isSameJson([1, 2], [2, 1])).toBe(false);
    expect(isSameJson({ a: undefined }, {})).toBe(true);
  });

  it('is refused for what is no JSON value', () => {
    expect(() => canonicalJson(undefined)).toThrow(TypeError);
    for (const value of [Number.NaN, Infinity]) expect(() => canonicalJson(value)).toThrow();
  });
});

describe('depth', () => {
  it('counts objects and lists inside of each other', () => {
    expect(isWithinDepth('text', 0)).toBe(true);
    expect([isWithinDepth({}, 0), isWithinDepth({}, 1)]).toEqual([false, true]);
    expect([isWithinDepth(nested(64), 63), isWithinDepth(nested(64), 64)]).toEqual([false, true]);
    expect(isWithinDepth({ a: 1, b: [[null]], c: [] }, 3)).toBe(true);
  });

  it('is measured where JSON.stringify overflows the stack', () => {
    const deep = nested(200_000);
    expect(() => JSON.stringify(deep)).toThrow(RangeError);
    expect([isWithinDepth(deep, 64), isWithinDepth(deep, 200_000)]).toEqual([false, true]);
  });
});

describe('small things', () => {
  it('are bytes in UTF-8, sha256 as hex, and what is an object', () => {
    expect(byteLength('aé𝄞')).toBe(7);
    expect(sha256('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
    expect(sha256(Buffer.from('abc'))).toBe(sha256('abc'));
    expect([{}, [], null, 'a', new Map()].map(isRecord)).toEqual([true, false, false, false, true]);
  });
});
