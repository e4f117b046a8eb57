import { describe, expect, it } from 'vitest';
import { mayCall, mayUse } from '../../src/catalog/grants.ts';

describe('a grant', () => {
  it.each([
    ['csv_rows', ['csv_rows'], ['csv_row', 'csv_rows_2', 'CSV_ROWS', 'xcsv_rows', '']],
    ['csv_*', ['csv_', 'csv_rows', 'csv_a_b'], ['csv', 'xcsv_rows', 'csvrows']],
    ['*_rows', ['_rows', 'csv_rows', 'rows_rows'], ['rows', 'csv_rows_2']],
    ['*', ['', 'anything', 'a__b'], []],
    ['**', ['', 'anything'], []],
    ['a*a', ['aa', 'aba', 'aaa'], ['a', 'ab', 'ba']],
    ['ab*bc', ['abbc', 'abxbc'], ['abc', 'ab', 'bc']],
    ['a*b*c', ['abc', 'aXbYc', 'abbc', 'abcbc'], ['acb', 'ac', 'abcx', 'xabc']],
    ['*ab*ab*', ['abab', 'xabyabz'], ['ab', 'aab', 'aba']],
    ['a*bab*', ['abab', 'abbab', 'ababx'], ['aba', 'ab']],
    ['github__*', ['github__list', 'github__'], ['github_list', 'github']],
    ['', [''], ['a']],
    ['.*', ['.', '.x'], ['x']],
    ['a+', ['a+'], ['aa']],
  ] as const)('%s names what it says', (grant, these, others) => {
    for (const name of these) expect(mayUse({ tools: [grant] }, name), name).toBe(true);
    for (const name of others) expect(mayUse({ tools: [grant] }, name), name).toBe(false);
  });

  it('is one of several, of none at all, or of everything', () => {
    expect(mayUse({ tools: ['a', 'b_*'] }, 'b_x')).toBe(true);
    expect(mayUse({ tools: [] }, 'a')).toBe(false);
    expect(mayUse({}, 'a')).toBe(true);
  });

  it('is quick to hold against a name, however many stars it has', () => {
    const grant = `${'a*'.repeat(5_000)}b`;
    expect(mayUse({ tools: [grant] }, 'a'.repeat(10_000))).toBe(false);
  });
});

describe('a token narrowed to some tools', () => {
  it('may also follow its own runs', () => {
    expect(mayCall({ tools: ['csv_*'] }, 'get_run')).toBe(true);
    expect(mayCall({ tools: ['csv_*'] }, 'cancel_run')).toBe(true);
    expect(mayCall({ tools: ['csv_*'] }, 'answer_run')).toBe(false);
    expect(mayCall({ tools: ['csv_*'] }, 'rollback')).toBe(false);
  });

  it('of nothing may not even do that', () => {
    expect(mayCall({ tools: [] }, 'get_run')).toBe(false);
  });
});
