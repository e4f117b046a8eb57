import { describe, expect, it } from 'vitest';
import { type HostRule, hostProblem, judge, ruleProblem } from '../../src/net/rules.ts';

const goes = (rules: HostRule[], url: string, method = 'GET'): unknown => {
  const verdict = judge(rules, new URL(url), method);
  return verdict.isAllowed || verdict.why;
};

describe('a rule', () => {
  it('lets a request go to its host by the usual port, and to no other', () => {
    const rules = [{ host: 'api.example.com' }];
    for (const url of [
      'https://api.example.com/a?b',
      'http://api.example.com',
      'https://API.Example.com./',
      'https://api.example.com:443',
    ]) {
      expect(goes(rules, url), url).toBe(true);
    }
    for (const url of [
      'https://example.com',
      'https://xapi.example.com',
      'https://api.example.com.evil.com',
      'https://a.api.example.com',
    ]) {
      expect(goes(rules, url), url).toMatch(/is none of the hosts/);
    }
    expect(goes(rules, 'https://api.example.com:8443')).toBe('Port 8443 of api.example.com may not be reached');
    expect(goes(rules, 'http://api.example.com:443')).toBe('Port 443 of api.example.com may not be reached');
    expect(goes([], 'https://api.example.com')).toMatch(/none of the hosts/);
  });

  it('names ports and methods where it should be narrower', () => {
    const rules = [
      { host: 'api.example.com', ports: [8443], methods: ['GET'] },
      { host: 'api.example.com', methods: ['POST'] },
    ];
    expect(goes(rules, 'https://api.example.com:8443')).toBe(true);
    expect(goes(rules, 'https://api.example.com', 'POST')).toBe(true);
    expect(goes(rules, 'https://api.example.com:8443', 'POST')).toBe('POST may not be sent to api.example.com');
    expect(goes(rules, 'https://api.example.com', 'GET')).toBe('GET may not be sent to api.example.com');
  });

  it('with a star stands for the names below one, not for that one and not for addresses', () => {
    const rules = [{ host: '*.example.com' }];
    expect(goes(rules, 'https://a.example.com')).toBe(true);
    expect(goes(rules, 'https://a.b.example.com')).toBe(true);
    for (const url of ['https://example.com', 'https://aexample.com', 'https://example.com.evil.com']) {
      expect(goes(rules, url), url).toMatch(/none of the hosts/);
    }
    expect(goes([{ host: '*' }], 'https://any.where')).toBe(true);
  });

  it('makes private addresses reachable only for its own host', () => {
    const rules = [{ host: 'a.example.com', isPrivate: true }, { host: '*.example.com' }];
    expect(judge(rules, new URL('https://a.example.com'), 'GET')).toEqual({ isAllowed: true, isPrivate: true });
    expect(judge(rules, new URL('https://b.example.com'), 'GET')).toEqual({ isAllowed: true, isPrivate: false });
  });

  it.each([
    'api.example.com',
    'localhost',
    '10.0.0.5',
    '[::1]',
    '*.example.com',
    'xn--mnchen-3ya.de',
    'a_b.example.com',
  ])('may have the host %s', (host) => {
    expect(hostProblem(host)).toBeUndefined();
  });

  it.each([
    ['*', /only where the policy says so/],
    ['*.com', /too wide/],
    ['*.10.0.0.1', /too wide|no host/],
    ['Example.com', /written "example\.com"/],
    ['example.com.', /written "example\.com"/],
    ['münchen.de', /written "xn--mnchen-3ya\.de"/],
    ['*.Example.com', /written "\*\.example\.com"/],
    ['2130706433', /written "127\.0\.0\.1"/],
    ['0x7f.1', /written "127\.0\.0\.1"/],
    ['[0:0::1]', /written "\[::1\]"/],
    ['::1', /no host/],
    ['', /no host/],
    ['https://example.com', /no host/],
    ['example.com:80', /no host/],
    ['example.com:8080', /no host/],
    ['example.com/path', /no host/],
    ['user@example.com', /no host/],
    ['a.*.com', /no host/],
    ['*example.com', /no host/],
    ['**.example.com', /no host/],
    ['example.com\n', /no host/],
    ['exa mple.com', /no host/],
  ])('cannot have the host %j', (host, why) => {
    expect(hostProblem(host)).toMatch(why);
  });

  it('may stand for every host where the policy says so, but not for private addresses', () => {
    expect(hostProblem('*', { anyHost: true })).toBeUndefined();
    expect(ruleProblem({ host: '*', isPrivate: true }, { anyHost: true })).toMatch(/by its name/);
  });

  it('names real methods and ports', () => {
    expect(ruleProblem({ host: 'a.com', methods: ['GET', 'POST'], ports: [1, 65_535] })).toBeUndefined();
    expect(ruleProblem({ host: 'a.com', methods: ['CONNECT'] })).toMatch(/"CONNECT" is no method/);
    expect(ruleProblem({ host: 'a.com', methods: ['get'] })).toMatch(/"get" is no method/);
    for (const port of [0, -1, 1.5, 65_536, Number.NaN])
      expect(ruleProblem({ host: 'a.com', ports: [port] })).toMatch(/no port/);
  });
});
