import { describe, expect, it } from 'vitest';
import { createLexicalIndex, type LexicalIndex, type SearchDocument } from '../../src/search/lexical-index.ts';

function entry(name: string, description = '', rest: Partial<SearchDocument> = {}): SearchDocument {
  return { id: name, name, description, useWhen: [], exampleRequests: [], parameters: [], tags: [], ...rest };
}

function indexOf(...entries: SearchDocument[]): LexicalIndex {
  const index = createLexicalIndex();
  for (const one of entries) index.put(one);
  return index;
}

const ids = (index: LexicalIndex, query: string, limit = 10) => index.search(query, limit).map(({ id }) => id);

describe('ranking', () => {
  it('puts the exact name first, then names that begin with the query, then words', () => {
    const index = indexOf(
      entry('a_words', 'csv summary, csv summary and once more csv summary'),
      entry('csv_summary_long'),
      entry('csv_summary'),
    );
    expect(index.search('CSV-summary', 10).map(({ id, why }) => [id, why])).toEqual([
      ['csv_summary', 'exact_name'],
      ['csv_summary_long', 'prefix'],
      ['a_words', 'words'],
    ]);
  });

  it('finds a name by its first letters', () => {
    expect(ids(indexOf(entry('translate_text'), entry('weather')), 'transl')).toEqual(['translate_text']);
  });

  it('orders equal scores by id, whatever the order they were put in', () => {
    const index = indexOf(entry('c', 'same words'), entry('a', 'same words'), entry('b', 'same words'));
    expect(ids(index, 'words')).toEqual(['a', 'b', 'c']);
    expect(ids(index, 'words', 2)).toEqual(['a', 'b']);
  });

  it('searches every field', () => {
    const index = indexOf(
      entry('one', 'apples'),
      entry('two', '', { useWhen: ['bananas'] }),
      entry('three', '', { exampleRequests: ['cherries'] }),
      entry('four', '', { parameters: ['dates'] }),
      entry('five', '', { tags: ['elderberries'] }),
      entry('six', '', { code: 'figs()' }),
      entry('seven', '', { origin: 'grapes' }),
    );
    const queries = ['apple', 'banana', 'cherry', 'date', 'elderberry', 'fig', 'grape'];
    expect(queries.map((query) => ids(index, query)[0])).toEqual('one two three four five six seven'.split(' '));
  });

  it('says which words of the query matched, as they were written', () => {
    const [hit] = indexOf(entry('x', 'rotates images')).search('please ROTATE my Image, Rotating twice', 1);
    expect(hit?.matched).toEqual(['ROTATE', 'Rotating', 'Image']);
  });

  it('shows only accepted entries, and asks about few', () => {
    const names = Array.from({ length: 500 }, (_, at) => `tool${String(at).padStart(3, '0')}`);
    const index = indexOf(...names.map((name) => entry(name, 'same words')));
    const asked: string[] = [];
    const hits = index.search('words', 2, (id) => asked.push(id) > 0 && id !== 'tool000');
    expect(hits.map(({ id }) => id)).toEqual(['tool001', 'tool002']);
    expect(asked).toEqual(['tool000', 'tool001', 'tool002']);
  });

  it('guesses at typing errors only when no word is found', () => {
    const index = indexOf(entry('weather_report', 'forecast'), entry('calendar', 'dates'));
    expect(index.search('wether', 5)).toMatchObject([{ id: 'weather_report', why: 'similar', matched: ['wether'] }]);
    expect(ids(index, 'wether dates')).toEqual(['calendar']);
    expect(ids(index, 'zzzzzz')).toEqual([]);
    index.put(entry('later', 'telescope'));
    index.remove('calendar');
    expect(ids(index, 'teleskope')).toEqual(['later']);
    expect(ids(index, 'calender')).toEqual([]);
  });
});

describe('changes', () => {
  it('an index after many changes ranks as one made afresh', () => {
    const texts = ['red apples fall', 'green apples rise', 'blue sky', 'apples, apples, apples', 'tall green trees'];
    const kept = texts.map((text, at) => entry(`kept${at}`, text, { tags: [`tag${at % 2}`] }));
    const changed = createLexicalIndex();
    for (let at = 0; at < 40; at++) changed.put(entry(`gone${at}`, `${texts[at % 5]} number ${at}`, { code: 'x = y' }));
    for (const one of kept) changed.put({ ...one, description: 'before', parameters: ['long', 'list'] });
    for (let at = 0; at < 40; at++) changed.remove(`gone${at}`);
    for (const one of kept.toReversed()) changed.put(one);
    const fresh = indexOf(...kept);
    expect(changed.size).toBe(5);
    for (const query of ['green apples', 'sky', 'tag1', 'before', 'x', 'aples'])
      expect(changed.search(query, 10)).toEqual(fresh.search(query, 10));
  });

  it('a removed entry is not found, and removing it again is no error', () => {
    const index = indexOf(entry('a', 'apple'), entry('b', 'apple'));
    index.remove('a');
    index.remove('a');
    expect(ids(index, 'apple')).toEqual(['b']);
    expect(ids(index, 'a')).toEqual([]);
    expect(index.size).toBe(1);
  });

  it('fields that are absent do not change the scores of the others', () => {
    const plain = [entry('a', 'red apple'), entry('b', 'green pear tree')];
    const before = indexOf(...plain).search('apple', 1);
    const withFields = indexOf(...plain.map((one) => ({ ...one, code: 'unrelated()', tags: ['fruit'] })));
    expect(withFields.search('apple', 1)).toEqual(before);
  });
});

describe('languages', () => {
  it.each([
    ['German', 'Größe eines Bildes ändern', 'GROSSE bild andern', 'andern'],
    ['French', 'Résume un document très long', 'resume', 'resume'],
    ['Spanish', 'Traducción de texto al español', 'traduccion espanol', 'espanol'],
    ['Russian', 'Прогноз погоды на неделю', 'прогноз', 'прогноз'],
    ['Japanese', '東京の天気予報を取得する', '天気', '天気'],
    ['Chinese', '获取城市的天气预报', '天气', '天气'],
    ['Thai', 'พยากรณ์อากาศรายวัน', 'อากาศ', 'อากาศ'],
    ['Korean', '서울 날씨 예보', '날씨', '날씨'],
    ['Arabic', 'تَرْجَمَة النص', 'ترجمة', 'ترجمة'],
    ['Hindi', 'मौसम की जानकारी', 'मौसम', 'मौसम'],
  ])('finds an entry in %s', (_, description, query, matched) => {
    const index = indexOf(entry('wanted', description), entry('other', 'something else entirely'));
    const [hit, ...others] = index.search(query, 5);
    expect(hit).toMatchObject({ id: 'wanted', why: 'words' });
    expect(hit?.matched).toContain(matched);
    expect(others).toEqual([]);
  });
});

describe('hostile input', () => {
  const index = indexOf(entry('constructor', 'has __proto__ in it'), entry('b', 'plain toString valueOf'));

  it.each(['', '   ', '!?.,', 'how to do the', '\u0000\u0001', '__', '\ud800'])('query %j finds nothing', (query) => {
    expect(index.search(query, 10)).toEqual([]);
    expect(index.possibleScore(query)).toBe(0);
  });

  it.each([0, -1, Number.NaN])('limit %d gives no hits', (limit) => {
    expect(index.search('plain', limit)).toEqual([]);
  });

  it('words that are names of JavaScript properties are words', () => {
    expect(ids(index, 'constructor')).toEqual(['constructor']);
    expect(ids(index, '__proto__')).toEqual(['constructor']);
    expect(ids(index, 'hasOwnProperty')).toEqual([]);
    expect(ids(index, 'toString')).toEqual(['b']);
  });

  it('a query of a megabyte is answered by its beginning', () => {
    const words = Array.from({ length: 150_000 }, (_, at) => `w${at}`).join(' ');
    expect(ids(index, `plain ${words}`)).toEqual(['b']);
    expect(ids(index, `plain ${'天気'.repeat(200_000)}`)).toEqual(['b']);
  });

  it('an entry of a megabyte is kept', () => {
    const big = indexOf(entry('big', 'needle', { code: 'let x = 1;\n'.repeat(100_000) }));
    expect(ids(big, 'needle')).toEqual(['big']);
  });

  it('a query of more than 60 terms is cut to the rarest', () => {
    const common = Array.from({ length: 70 }, (_, at) => `common${at}`);
    const many = indexOf(entry('a', common.join(' ')), entry('b', common.join(' ')), entry('c', 'rare'));
    const [first, second] = many.search(`${common.join(' ')} rare`, 3);
    expect([first, second].map((hit) => hit?.id)).toEqual(['a', 'b']);
    expect(first?.matched).toHaveLength(59);
    expect(many.search(`${common.join(' ')} rare`, 3)[2]?.id).toBe('c');
  });
});
