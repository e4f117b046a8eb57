import { describe, expect, it } from 'vitest';
import { createMask } from '../../src/secrets/mask.ts';

const value = 'ghp_a/b+C?d=&"é\\~ 12'.replace('é', 'e');
const mask = createMask([{ name: 'TOKEN', value }]);
const instead = '[secret:TOKEN]';
const bytes = Buffer.from(value);
const each = (of: (byte: number) => string): string => [...bytes].map(of).join('');
const hex2 = (byte: number): string => byte.toString(16).padStart(2, '0');

describe('a mask', () => {
  it.each<[string, string]>([
    ['plainly', value],
    ['in capitals', value.toUpperCase()],
    ['URL-encoded', encodeURIComponent(value)],
    ['URL-encoded as a form', new URLSearchParams({ a: value }).toString().slice(2)],
    ['URL-encoded twice', encodeURIComponent(encodeURIComponent(value))],
    ['URL-encoded, every byte of it', each((byte) => `%${hex2(byte)}`)],
    ['URL-encoded in part', `${value.slice(0, 4)}%61%2F${value.slice(6)}`],
    ['in JSON', JSON.stringify(value).slice(1, -1)],
    ['in JSON in JSON', JSON.stringify(JSON.stringify(value)).slice(3, -3)],
    ['in JSON as numbers', each((byte) => `\\u00${hex2(byte)}`)],
    ['in JSON with its slash escaped, as PHP does', JSON.stringify(value).slice(1, -1).replace('/', '\\/')],
    ['in JavaScript', each((byte) => `\\x${hex2(byte)}`)],
    ['in HTML', value.replaceAll('&', '&amp;').replaceAll('"', '&quot;')],
    ['in HTML as numbers', each((byte) => `&#${byte};`)],
    ['in HTML as hexadecimal numbers', each((byte) => `&#x${hex2(byte)};`)],
    ['as hexadecimal digits', bytes.toString('hex')],
    ['as capital hexadecimal digits', bytes.toString('hex').toUpperCase()],
    ['as hexadecimal digits apart', each((byte) => `${hex2(byte)}:`).slice(0, -1)],
    ['in UTF-16', Buffer.from(value, 'utf16le').toString('latin1').replace(/\0$/, '')],
  ])('meets a secret that is written %s', (_how, written) => {
    expect(mask.text(written)).toBe(instead);
    expect(mask.text(`before ${written} after`)).toBe(`before ${instead} after`);
    expect(mask.text(`${written}, ${written}`)).toBe(`${instead}, ${instead}`);
  });

  it.each([0, 1, 2, 3, 4, 5])('meets it as base64, with %i bytes before it', (before) => {
    for (const after of [0, 1, 2, 3]) {
      const whole = Buffer.concat([Buffer.alloc(before, 'x'), bytes, Buffer.alloc(after, 'y')]);
      for (const text of [
        whole.toString('base64'),
        whole.toString('base64url'),
        encodeURIComponent(whole.toString('base64')),
        JSON.stringify(whole.toString('base64')).replaceAll('/', '\\/'),
        whole.toString('base64').replaceAll(/(.{7})/g, '$1\r\n'),
        whole.toString('base64').replaceAll(/(.{7})/g, '$1\\n'),
      ]) {
        const masked = mask.text(text);
        expect(masked).toContain(instead);
        // What is left decodes to nothing of it that is longer than what a third of a letter tells.
        const left = Buffer.from(masked.replace(instead, ''), 'base64').toString('latin1');
        for (let at = 0; at + 3 <= value.length; at++) expect(left).not.toContain(value.slice(at, at + 3));
      }
    }
  });

  it('meets it as a user with a password', () => {
    const basic = Buffer.from(`ada:${value}`).toString('base64');
    expect(mask.text(`Basic ${basic}`)).toMatch(/^Basic [\w+/]{0,6}\[secret:TOKEN\]=?$/);
  });

  it('leaves everything else as it is', () => {
    for (const text of ['', 'nothing here', 'ghp_', value.slice(1), value.slice(0, -1), '[secret:TOKEN]', '$&$1'])
      expect(mask.text(text)).toBe(text);
    expect(createMask([]).text(value)).toBe(value);
  });

  it('masks the longer of two secrets of which one holds the other', () => {
    const both = createMask([
      { name: 'SHORT', value: 'abcdefgh' },
      { name: 'LONG', value: 'abcdefgh-ijklmnop' },
    ]);
    expect(both.text('abcdefgh-ijklmnop abcdefgh')).toBe('[secret:LONG] [secret:SHORT]');
  });

  it('takes a value whose characters mean something in a pattern for what they are', () => {
    const odd = ['.*+?^$', '{}()|[]\\/-$&'].join('');
    expect(createMask([{ name: 'ODD', value: odd }]).text(`<${odd}> <${'x'.repeat(18)}>`)).toBe(
      `<[secret:ODD]> <${'x'.repeat(18)}>`,
    );
  });

  it('masks all texts of a JSON value, its keys and numbers too', () => {
    const digits = createMask([{ name: 'PIN', value: '12345678' }]);
    expect(digits.json({ a: [12345678, 3, true, null, { 12345678: 'is 12345678' }] })).toEqual({
      a: ['[secret:PIN]', 3, true, null, { '[secret:PIN]': 'is [secret:PIN]' }],
    });
    const own = JSON.parse('{"__proto__":"x"}');
    expect(JSON.stringify(digits.json(own))).toBe('{"__proto__":"x"}');
  });

  it('finds it among bytes that are no text, and leaves others as they are', () => {
    const png = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0xff, 0xfe]);
    expect(mask.bytes(png)).toBe(png);
    const hidden = Buffer.concat([png, bytes, png]);
    expect(mask.bytes(hidden)).toEqual(Buffer.concat([png, Buffer.from(instead), png]));
  });

  it('masks a long secret as a whole', () => {
    const long = Array.from({ length: 400 }, (_, i) => `part${i}`).join('.');
    const masks = createMask([{ name: 'LONG', value: long }]);
    for (const written of [
      long,
      encodeURIComponent(long),
      Buffer.from(long).toString('hex'),
      Buffer.from(long).toString('base64').replace(/=+$/, ''),
    ]) {
      expect(masks.text(`<${written}>`)).toBe('<[secret:LONG]>');
    }
    expect(masks.text(`${long.slice(0, 500)} ${long}`)).toBe(`${long.slice(0, 500)} [secret:LONG]`);
  });

  it('takes time in proportion to the text, whatever that is made of', () => {
    const masks = createMask([{ name: 'A', value: 'a'.repeat(40) }]);
    for (const piece of [
      '%',
      '%25',
      '%2561',
      '\\',
      '\\u00',
      '&#',
      '&#x0000',
      'a\0\0',
      'YWFh',
      'YWFh\r\n',
      '61',
      '61:',
      'a'.repeat(39),
    ]) {
      const text = `${piece} `.repeat(200_000 / piece.length) + piece.repeat(200_000 / piece.length);
      expect(masks.text(text).length).toBeLessThanOrEqual(text.length);
    }
  });
});
