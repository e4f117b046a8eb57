import { expect, it } from 'vitest';
import { scoreBand } from '../../src/search/band.ts';

it.each([
  ['exact_name', 2001, 10, 'exact'],
  ['prefix', 1001, 10, 'strong'],
  ['words', 3, 10, 'strong'],
  ['words', 1.5, 10, 'fair'],
  ['words', 1.4, 10, 'weak'],
  ['similar', 9, 10, 'weak'],
  ['words', 1, 0, 'weak'],
] as const)('a hit by %s of %d points out of %d is %s', (why, score, possible, expected) => {
  expect(scoreBand({ score, why }, possible)).toBe(expected);
});
