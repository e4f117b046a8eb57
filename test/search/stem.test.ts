import { describe, expect, it } from 'vitest';
import { stem } from '../../src/search/stem.ts';

describe('stem', () => {
  it.each([
    // Examples of the paper, one or more a step.
    ['caresses', 'caress'],
    ['ponies', 'poni'],
    ['cats', 'cat'],
    ['agreed', 'agre'],
    ['plastered', 'plaster'],
    ['hopping', 'hop'],
    ['falling', 'fall'],
    ['filing', 'file'],
    ['happy', 'happi'],
    ['sky', 'sky'],
    ['relational', 'relat'],
    ['vietnamization', 'vietnam'],
    ['triplicate', 'triplic'],
    ['hopefulness', 'hope'],
    ['adoption', 'adopt'],
    ['onion', 'onion'],
    ['probate', 'probat'],
    ['rate', 'rate'],
    ['controll', 'control'],
    ['roll', 'roll'],
    ['wyoming', 'wyom'],
  ])('reads %s as %s', (word, expected) => {
    expect(stem(word)).toBe(expected);
  });

  it('leaves words of two letters, numbers and other scripts alone', () => {
    expect(['is', '2024', 'погода', '天気', ''].map(stem)).toEqual(['is', '2024', 'погода', '天気', '']);
  });
});
