import { describe, expect, it, vi } from 'vitest';
import { createTermReader, foldName, splitWords } from '../../src/search/tokenise.ts';

const termOf = createTermReader();
const terms = (text: string) => splitWords(text).map(termOf);

describe('splitWords', () => {
  it.each([
    ['getPostmodernTheory', ['get', 'Postmodern', 'Theory']],
    ['snake_case.dotted-name', ['snake', 'case', 'dotted', 'name']],
    ['parseHTTPResponse2', ['parse', 'HTTP', 'Response2']],
    ['größeÄndern', ['größe', 'Ändern']],
    ['a\u0000b\u0007c', ['a', 'b', 'c']],
    ['Donau\u00addampf', ['Donaudampf']],
    ['', []],
    ['\ud800 lone', ['lone']],
  ])('splits %j', (text, expected) => {
    expect(splitWords(text)).toEqual(expected);
  });

  it('segments scripts that write no spaces', () => {
    expect(splitWords('东京天气预报')).toContain('天气');
    expect(splitWords('พยากรณ์อากาศวันนี้')).toContain('อากาศ');
    expect(splitWords('CSVファイルを集計')).toEqual(expect.arrayContaining(['CSV', 'ファイル', '集計']));
  });

  it('makes no segmenter for text that needs none', () => {
    const made = vi.spyOn(Intl, 'Segmenter');
    splitWords('plain ASCII, naïve Ünïcode and кириллица');
    expect(made).not.toHaveBeenCalled();
    made.mockRestore();
  });
});

describe('createTermReader', () => {
  it('folds width, case and accents', () => {
    expect(terms('Ｃａｆé CAFE\u0301 cafe')).toEqual(['cafe', 'cafe', 'cafe']);
    expect(terms('Straße STRASSE ёлка Łódź')).toEqual(['strass', 'strass', 'елка', 'lodz']);
  });

  it('keeps the marks that make up words of other scripts', () => {
    expect(terms('हिन्दी 한국어')).toEqual(['हिन्दी', '한국어']);
  });

  it('reads stop words as nothing', () => {
    expect(terms("I don't")).toEqual(['', '', '']);
  });
});

describe('foldName', () => {
  it('ignores case and separators', () => {
    expect(foldName('CSV-Summary')).toBe(foldName('csv_summary'));
  });
});
