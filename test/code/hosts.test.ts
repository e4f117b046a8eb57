import { describe, expect, it } from 'vitest';
import { isCovered, readHost } from '../../src/code/hosts.ts';

describe('a host', () => {
  it.each([
    ['api.github.com', 'api.github.com'],
    ['API.GitHub.com', 'api.github.com'],
    ['*.example.com', '*.example.com'],
    ['bücher.example', 'xn--bcher-kva.example'],
    ['localhost', 'localhost'],
    ['10.0.0.1', '10.0.0.1'],
    ['[::1]', '[::1]'],
    ['*', '*'],
  ])('%s is written %s', (text, host) => {
    expect(readHost(text)).toEqual({ host });
  });

  it.each([
    ['2130706433', 'another way to write 127.0.0.1'],
    ['0x7f.1', 'another way to write 127.0.0.1'],
    ['0177.0.0.1', 'another way to write 127.0.0.1'],
    ['127.1', 'another way to write 127.0.0.1'],
    ['[0:0:0:0:0:0:0:1]', 'another way to write [::1]'],
    ['[::ffff:127.0.0.1]', 'another way to write [::ffff:7f00:1]'],
    ['１２７.0.0.1', 'another way to write 127.0.0.1'],
    ['*.10.0.0.1', 'no sub-domains'],
    ['*.com', 'whole top-level domain'],
    ['*.', 'no host name'],
    ['a.*.com', 'no host name'],
    ['*a.com', 'no host name'],
    ['**', 'no host name'],
    ['', 'no host name'],
    ['example.com.', 'no host name'],
    ['a..b', 'no host name'],
    ['a b', 'no host name'],
    ['a/b', 'no host name'],
    ['user@host', 'no host name'],
    ['-a.example', 'no host name'],
    [`${'a'.repeat(64)}.example`, 'no host name'],
  ])('may not be written %j', (text, problem) => {
    expect(readHost(text)).toEqual({ problem: expect.stringContaining(problem) });
  });
});

describe('what one entry allows', () => {
  it.each([
    [{ host: 'a.example' }, { host: 'a.example', methods: ['GET'] }],
    [{ host: 'a.example' }, { host: 'a.example', ports: [443] }],
    [{ host: 'a.example' }, { host: 'a.example', ports: [80] }],
    [{ host: '*.b.example' }, { host: 'a.b.example' }],
    [{ host: '*.b.example' }, { host: '*.a.b.example' }],
    [{ host: '*' }, { host: '10.0.0.1' }],
    [{ host: '*' }, { host: '*.example.com' }],
    [
      { host: 'a.example', methods: ['GET', 'POST'] },
      { host: 'a.example', methods: ['POST'] },
    ],
  ])('%j covers %j', (outer, inner) => {
    expect(isCovered([{ host: 'other.example' }, outer], inner)).toBe(true);
  });

  it.each([
    [{ host: 'a.example', methods: ['GET'] }, { host: 'a.example' }],
    [
      { host: 'a.example', methods: ['GET'] },
      { host: 'a.example', methods: ['GET', 'POST'] },
    ],
    [{ host: 'a.example' }, { host: 'a.example', ports: [8443] }],
    [{ host: 'a.example', ports: [8443] }, { host: 'a.example' }],
    [{ host: '*.b.example' }, { host: 'b.example' }],
    [{ host: '*.b.example' }, { host: 'evilb.example' }],
    [{ host: '*.b.example' }, { host: '*' }],
    [{ host: 'a.example' }, { host: 'a.example.evil.test' }],
  ])('%j does not cover %j', (outer, inner) => {
    expect(isCovered([outer], inner)).toBe(false);
  });
});
