import { describe, expect, it } from 'vitest';
import { didYouMean, nearest } from '../../src/text/nearest.ts';

const words = ['string', 'integer', 'maxLength', 'csv_summary', 'x'];

describe('the nearest word', () => {
  it.each([
    ['strnig', 'string'],
    ['String', 'string'],
    ['strin', 'string'],
    ['strring', 'string'],
    ['maxLenght', 'maxLength'],
    ['max-length', 'maxLength'],
    ['CSV summary', 'csv_summary'],
    ['csvsumary', 'csv_summary'],
    ['x', 'x'],
  ])('to %s is %s', (word, expected) => {
    expect(nearest(word, words)).toBe(expected);
    expect(didYouMean(word, words)).toBe(` Did you mean "${expected}"?`);
  });

  it.each(['boolean', 'y', '', 'qqqqqq', 'constructor'])('to %j is none', (word) => {
    expect(nearest(word, words)).toBeUndefined();
    expect(didYouMean(word, words)).toBe('');
  });

  it('is the first of several as near', () => {
    expect(nearest('bat', ['cat', 'bar', 'rat'])).toBe('cat');
  });

  it('is not looked for with words of any length', () => {
    const long = 'x'.repeat(1_000_000);
    expect(nearest(long, [long])).toBeUndefined();
    expect(nearest('abc', [long, 'abd'])).toBe('abd');
  });
});
