import { expect, test } from 'vitest';
import { compileValidator } from '../../src/catalog/validator.ts';
import { inferSchema } from '../../src/code/infer-schema.ts';

const values: unknown[] = [
  {},
  { a: 1, b: 'x', c: null, d: true, e: 1.5, f: [] },
  { list: [{ a: 1 }, { a: 1.5, b: 'x' }, { a: null }] },
  { mixed: [1, 'x', null, [2], { y: 1 }] },
  { __proto__x: 1, 'with space': { deep: { deeper: [[[{}]]] } } },
];

test.each(values)('%j fits the schema that is inferred from it', async (value) => {
  const problemsOf = await compileValidator(inferSchema([value]), 'input');
  expect(problemsOf(value)).toEqual([]);
});

test('what several values share is required, and all their types are allowed', () => {
  expect(inferSchema([{ a: 1, b: 'x' }, { a: 1.5 }, { a: null, c: [1] }])).toEqual({
    type: 'object',
    properties: {
      a: { type: ['null', 'number'] },
      b: { type: 'string' },
      c: { type: 'array', items: { type: 'integer' } },
    },
    required: ['a'],
  });
});

test('a value of another shape does not fit', async () => {
  const problemsOf = await compileValidator(inferSchema([{ rows: [{ n: 1 }] }]), 'input');
  expect(problemsOf({ rows: [{ n: 'x' }] })).not.toEqual([]);
  expect(problemsOf({})).not.toEqual([]);
});
