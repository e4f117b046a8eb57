import { describe, expect, it } from 'vitest';
import { pageOf } from '../../src/runs/page.ts';

const all = (value: unknown, path = '') => pageOf(value, path, 0, 30_000);
const notFound = expect.objectContaining({ code: 'not_found' });

describe('a page', () => {
  it.each([
    [[1, 2, 3], { type: 'array', total: 3, offset: 0, value: [1, 2, 3] }],
    ['héllo', { type: 'string', total: 5, offset: 0, value: 'héllo' }],
    [
      { a: 1, b: null },
      { type: 'object', total: 2, offset: 0, value: { a: 1, b: null } },
    ],
    [[], { type: 'array', total: 0, offset: 0, value: [] }],
    [7, { type: 'number', value: 7 }],
    [false, { type: 'boolean', value: false }],
    [null, { type: 'null', value: null }],
  ])('of %j is all of it', (value, page) => {
    expect(all(value)).toEqual({ path: '', ...page });
  });

  it.each([
    ['a list', Array.from({ length: 10 }, (_, i) => i), [3, 4, 5]],
    ['a text', '0123456789', '345'],
    ['an object', Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`k${i}`, i])), { k3: 3, k4: 4, k5: 5 }],
  ])('of %s begins at its offset, has at most its limit, and says where the next begins', (_, value, expected) => {
    expect(pageOf(value, '', 3, 3)).toMatchObject({ total: 10, offset: 3, nextOffset: 6, value: expected });
    expect(pageOf(value, '', 7, 3)).not.toHaveProperty('nextOffset');
    expect(pageOf(value, '', 99, 3)).toMatchObject({ total: 10, offset: 99 });
  });

  it('never splits a surrogate pair', () => {
    const page = pageOf('a👩‍👧b', '', 0, 2);
    expect(page).toMatchObject({ total: 5, value: 'a👩', nextOffset: 2 });
    expect(pageOf('👩👧👦', '', 1, 1)).toMatchObject({ value: '👧', nextOffset: 2 });
  });

  it.each([
    ['a list', Array.from({ length: 5_000 }, (_, i) => ({ row: i, text: 'é"\\' }))],
    ['a text of letters', 'x'.repeat(100_000)],
    ['a text of what JSON escapes', '"\\\n\u0001'.repeat(20_000)],
    ['a text of emoji', '👩'.repeat(30_000)],
    ['an object', Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`key ${i}`, i]))],
  ])('of %s is under 40 kB, and the pages together are the whole', (_, whole) => {
    const pages: unknown[] = [];
    for (let offset: number | undefined = 0; offset !== undefined; ) {
      const page = pageOf(whole, '', offset, 30_000);
      expect(Buffer.byteLength(JSON.stringify(page))).toBeLessThan(40_000);
      pages.push(page.value);
      offset = page.nextOffset;
    }
    const joined =
      typeof whole === 'string'
        ? pages.join('')
        : Array.isArray(whole)
          ? pages.flat()
          : Object.assign({}, ...(pages as object[]));
    expect(joined).toEqual(whole);
    expect(pages.length).toBeGreaterThan(2);
    expect(pages.length).toBeLessThan(9);
  });

  it('names the path of a part that alone is too large, and goes on behind it', () => {
    const big = 'x'.repeat(50_000);
    expect(pageOf({ rows: [1, big, 3] }, 'rows', 1, 10)).toMatchObject({
      value: expect.stringContaining('"rows.1"'),
      nextOffset: 2,
    });
    expect(pageOf({ big, small: 1 }, '', 0, 10)).toMatchObject({
      value: expect.stringContaining('"big"'),
      nextOffset: 1,
    });
    expect(all({ rows: [1, big, 3] }, 'rows.1')).toMatchObject({ type: 'string', total: 50_000 });
    expect(all([big])).not.toHaveProperty('nextOffset');
  });

  it('is small even where a key is large', () => {
    const page = all({ ['k'.repeat(500_000)]: 'x'.repeat(40_000) });
    expect(JSON.stringify(page).length).toBeLessThan(1_000);
  });
});

describe('a path', () => {
  const value = {
    rows: [{ name: 'a' }, { name: 'b' }],
    'index.html': { size: 7 },
    a: { b: 1 },
    'x.y': { z: 2 },
    x: {},
  };
  it.each([
    ['rows.1.name', 'b'],
    ['a.b', 1],
    ['index.html.size', 7],
    ['x.y.z', 2],
    ['rows.length', 2],
  ])('%s leads to its value, dots in keys or not', (path, expected) => {
    expect(all(value, path)).toMatchObject({ path, value: expected });
  });

  it.each([
    'rows.2',
    'rows.-1',
    'rows.name',
    'a.b.c',
    'a.',
    '.a',
    '..',
    'nothing',
    '__proto__',
    'constructor',
    'rows.map',
    'a.toString',
  ])('%s leads nowhere', (path) => {
    expect(() => all(value, path)).toThrow(notFound);
  });

  it('leads nowhere in a text or number', () => {
    expect(() => all('text', '0')).toThrow(notFound);
    expect(() => all('text', 'length')).toThrow(notFound);
    expect(() => all(7, 'x')).toThrow(notFound);
    expect(() => all(null, 'x')).toThrow(notFound);
  });

  it('with many readings is answered quickly', () => {
    let nested: unknown = 1;
    for (let i = 0; i < 60; i++) nested = { a: nested, 'a.a': { a: 1 } };
    const started = performance.now();
    expect(() => all(nested, `${'a.'.repeat(240)}b`)).toThrow(notFound);
    expect(performance.now() - started).toBeLessThan(2_000);
  });
});
