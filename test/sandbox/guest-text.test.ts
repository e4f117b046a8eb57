import { expect, test } from 'vitest';
import { endOf, isMemoryText, readError, readProgress } from '../../src/sandbox/guest-text.ts';

test.each([
  '',
  '<null>',
  'undefined',
  'null',
  '5',
  '"text"',
  '[]',
  '{}',
  '{"name":5,"message":{},"stack":[],"tool":1}',
])('an error told as %s is still an error made of texts', (json) => {
  expect(readError(json)).toEqual({ name: 'Thrown', message: 'null', stack: '' });
});

test('what an error says is kept, cut to a length that can be passed on', () => {
  const told = { name: 'E', message: 'm'.repeat(10_000), stack: 's', tool: 't', code: 'c', more: 1 };
  expect(readError(JSON.stringify(told))).toEqual({ ...told, message: 'm'.repeat(4_000), more: undefined });
});

test.each([
  ['{"done":1}', { done: 1 }],
  ['{"done":1,"total":2,"message":"half","more":3}', { done: 1, total: 2, message: 'half' }],
  ['{"done":1,"total":"2","message":3}', { done: 1 }],
  ['{"done":null}', undefined],
  ['{"done":"1"}', undefined],
  ['{"done":1e999}', undefined],
  ['<null>', undefined],
  ['null', undefined],
])('progress told as %s is %o', (json, expected) => {
  expect(readProgress(json)).toEqual(expected);
});

const error = (name: string, message: string) => ({ name, message, stack: '    at run (skill.js:12:3)' });

test.each([
  [error('InternalError', 'out of memory'), { kind: 'limit', limit: 'memory' }],
  [error('Error', 'Job execution error: InternalError: out of memory'), { kind: 'limit', limit: 'memory' }],
  [error('InternalError', 'interrupted'), { kind: 'limit', limit: 'cpu' }],
  [error('RangeError', 'Maximum call stack size exceeded'), { kind: 'limit', limit: 'stack' }],
  [error('InternalError', 'stack overflow'), { kind: 'limit', limit: 'stack' }],
  [
    error('Error', 'out of memory cards'),
    { kind: 'thrown', error: { name: 'Error', message: 'out of memory cards', line: 12 } },
  ],
])('%o means %o', (told, expected) => {
  expect(endOf(told, false)).toMatchObject(expected);
});

test('an overflow while the answer is written is the depth of the answer', () => {
  expect(endOf(error('RangeError', 'Maximum call stack size exceeded'), true)).toMatchObject({ limit: 'depth' });
});

test('only what an engine without memory says is taken for that', () => {
  for (const text of ['null', 'out of memory', '<null>', 'Invalid error message'])
    expect(isMemoryText(text)).toBe(true);
  for (const text of ['', 'nullable', 'row 5 is null', 'invalid']) expect(isMemoryText(text)).toBe(false);
});
