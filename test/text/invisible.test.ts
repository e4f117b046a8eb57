import { describe, expect, it } from 'vitest';
import { cleanText, shortText } from '../../src/text/clean.ts';
import { describeInvisible, findInvisible } from '../../src/text/invisible.ts';

const hidden: [string, string, string][] = [
  ['a null', '\0', 'control character'],
  ['an escape', '\x1b', 'control character'],
  ['a backspace', '\b', 'control character'],
  ['a delete', '\x7f', 'control character'],
  ['a control of the second block', '\x9b', 'control character'],
  ['a zero-width space', '\u200b', 'invisible character'],
  ['a zero-width joiner between letters', '\u200d', 'invisible character'],
  ['a word joiner', '\u2060', 'invisible character'],
  ['a soft hyphen', '\u00ad', 'invisible character'],
  ['a byte order mark', '\ufeff', 'invisible character'],
  ['a Hangul filler', '\u3164', 'invisible character'],
  ['a direction override', '\u202e', 'direction control'],
  ['a direction isolate', '\u2067', 'direction control'],
  ['a direction mark', '\u200f', 'direction control'],
  ['a tag character', '\u{e0041}', 'tag character'],
  ['a variation selector after a letter', '\ufe0f', 'variation selector'],
  ['a variation selector of the supplement', '\u{e0100}', 'variation selector'],
  ['half of a surrogate pair', '\ud83d', 'half of a surrogate pair'],
  ['a private character', '\ue000', 'unassigned or private character'],
  ['an unassigned character', '\u0378', 'unassigned or private character'],
  ['a line separator', '\u2028', 'invisible character'],
  ['an interlinear annotation', '\ufffa', 'invisible character'],
];

describe('what a reader cannot see', () => {
  it.each(hidden)('is found: %s', (_, character, description) => {
    const codePoint = character.codePointAt(0) ?? 0;
    expect(findInvisible(`a${character}b`)).toEqual([{ codePoint, index: 1, length: character.length }]);
    expect(findInvisible(character)).toHaveLength(1);
    expect(describeInvisible(codePoint)).toBe(description);
  });

  it('is found as often as it is there, in order', () => {
    expect(findInvisible('\u200ba\u{e0041}b\u200b').map(({ index }) => index)).toEqual([0, 2, 5]);
  });

  it.each([
    ['plain words', 'Doubles a number (x ≥ 0) — “quoted”, 50 %.'],
    ['line ends and tabs', 'a\n\tb\r\nc'],
    ['emoji of several parts', '👩‍👩‍👧 🏳️‍🌈 ❤️‍🔥 👍🏽 1️⃣ ☺️ ☺︎'],
    ['Persian with its non-joiner', 'می‌خواهم'],
    ['Hindi with its joiner', 'क्‍ष'],
    ['Chinese, Japanese, Korean', '数える 数 한국어'],
    ['Hebrew and Arabic', 'שלום مرحبا'],
    ['combining accents', 'e\u0301'],
    ['nothing', ''],
  ])('is not in %s', (_, text) => {
    expect(findInvisible(text)).toEqual([]);
  });

  it.each([
    ['a carriage return alone', 'a\rb'],
    ['a joiner after an emoji and before a letter', '👩\u200da'],
    ['a joiner between Latin letters', 'a\u200db'],
    ['a variation selector before an emoji', '\ufe0f👩'],
  ])('is in %s', (_, text) => {
    expect(findInvisible(text)).toHaveLength(1);
  });

  it('is found in 200 kB quickly', () => {
    const started = performance.now();
    expect(findInvisible('👩\u200d'.repeat(60_000)).length).toBe(1);
    expect(findInvisible('\u200b'.repeat(200_000)).length).toBe(200_000);
    expect(performance.now() - started).toBeLessThan(5_000);
  });
});

describe('clean text', () => {
  it('shows what was hidden, and leaves the rest as it is', () => {
    expect(cleanText('a\x1b[2Jb\u202ec\u{e0041}\ud800')).toBe('a\\u{1b}[2Jb\\u{202e}c\\u{e0041}\\u{d800}');
    expect(cleanText('a\n\tb 👩‍👩‍👧')).toBe('a\n\tb 👩‍👩‍👧');
    expect(findInvisible(cleanText(hidden.map(([, character]) => character).join('')))).toEqual([]);
  });

  it('cut short is one line, without half a pair', () => {
    expect(shortText('a\n b\t c')).toBe('a b c');
    expect(shortText('abc', 3)).toBe('abc');
    expect(shortText('abcd', 3)).toBe('abc…');
    expect(shortText('ab👩', 3)).toBe('ab…');
    expect(shortText('\x1b[31m')).toBe('\\u{1b}[31m');
    expect(shortText('x'.repeat(1_000_000)).length).toBe(61);
  });
});
