import { describe, expect, it } from 'vitest';
import { columns, exitCodes } from '../../src/cli/output.ts';
import { errorCodes } from '../../src/errors.ts';

describe('columns', () => {
  it('are as wide as their widest cell, without spaces behind the last', () => {
    expect(columns([['a', 'b', 'c'], ['long', '', 'x'], ['y']])).toBe('a     b  c\nlong     x\ny');
  });

  it('keep a cell in its row, and show what would hide or act', () => {
    const rows = columns([
      ['name\u001b[31m', 'first\nforged  1.0.0'],
      ['b', 'second'],
    ]);
    expect(rows).toBe('name\\u{1b}[31m  first forged 1.0.0\nb               second');
  });
});

describe('exit codes', () => {
  it('tell wrong usage and waiting for a person from failing', () => {
    expect(Object.keys(exitCodes).sort()).toEqual(Object.keys(errorCodes).sort());
    expect([exitCodes.bad_input, exitCodes.needs_person, exitCodes.not_approved]).toEqual([2, 3, 3]);
    expect(exitCodes.internal).toBe(1);
  });
});
