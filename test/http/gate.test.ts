import { describe, expect, it } from 'vitest';
import { createGate, type GateRules, isLoopback } from '../../src/http/gate.ts';

const passes = (rules: Partial<GateRules>, host?: string, origin?: string): boolean => {
  const gate = createGate({ hosts: [], origins: [], boundHost: '127.0.0.1', ...rules });
  try {
    gate.check({ host, origin });
    return true;
  } catch (error) {
    expect(error).toMatchObject({ code: 'not_allowed', hint: expect.any(String) });
    return false;
  }
};

describe('the Host header', () => {
  it.each(['localhost', 'LOCALHOST:7077', '127.0.0.1', '127.0.0.1:7077', '[::1]', '[::1]:7077'])(
    'may be a name of this machine where only it can call: %s',
    (host) => expect(passes({}, host)).toBe(true),
  );

  it.each([
    ['of DNS rebinding', 'evil.example'],
    ['with the port of ours', 'evil.example:7077'],
    ['that begins like ours', 'localhost.evil.example'],
    ['that ends like ours', 'evil.localhost'],
    ['with a dot at its end', 'localhost.'],
    ['with a user in it', 'evil@localhost'],
    ['with a path in it', 'localhost/x'],
    ['with a query in it', 'localhost?x'],
    ['with a space', 'localhost evil'],
    ['that is empty', ''],
    ['that is no address', '[::1'],
    ['of another address', '10.0.0.1'],
    ['of another IPv6 address', '[2001:db8::1]:7077'],
    ['that is absent', undefined],
  ])('may not be one %s', (_, host) => expect(passes({}, host)).toBe(false));

  it('may be what the server listens on, and what is listed, with any port', () => {
    expect(passes({ boundHost: '127.0.0.2' }, '127.0.0.2:80')).toBe(true);
    expect(passes({ boundHost: '192.0.2.7' }, '192.0.2.7:7077')).toBe(true);
    expect(passes({ boundHost: '2001:DB8:0:0::1' }, '[2001:db8::1]:7077')).toBe(true);
    expect(passes({ boundHost: '192.0.2.7' }, 'localhost:7077')).toBe(false);
    const hosts = ['Tools.Example.com', 'other.example:8443', '2001:db8::2'];
    for (const host of ['tools.example.com', 'TOOLS.example.com:443', 'other.example', '[2001:db8::2]'])
      expect(passes({ hosts }, host), host).toBe(true);
    expect(passes({ hosts }, 'more.tools.example.com')).toBe(false);
  });

  it('may be a name of this machine too where the server listens everywhere', () => {
    for (const boundHost of ['0.0.0.0', '::']) {
      expect(passes({ boundHost }, 'localhost:7077')).toBe(true);
      expect(passes({ boundHost }, '192.0.2.7')).toBe(false);
    }
  });

  it('is checked against names that requests can have: others stop the start', () => {
    for (const host of ['*.example.com', 'https://example.com', 'a b'])
      expect(() => createGate({ hosts: [host], origins: [], boundHost: '127.0.0.1' }), host).toThrow(
        expect.objectContaining({ code: 'bad_input' }),
      );
  });
});

describe('the Origin header', () => {
  const origins = ['https://app.example.com/', 'http://localhost:5173'];

  it('may be absent, listed, or the server itself', () => {
    expect(passes({ origins }, 'localhost:7077')).toBe(true);
    expect(passes({ origins }, 'localhost:7077', 'https://app.example.com')).toBe(true);
    expect(passes({ origins }, 'localhost:7077', 'http://localhost:5173')).toBe(true);
    expect(passes({}, 'localhost:7077', 'http://localhost:7077')).toBe(true);
    expect(passes({}, '[::1]:7077', 'http://[::1]:7077')).toBe(true);
    expect(passes({ hosts: ['t.example'] }, 't.example', 'https://t.example')).toBe(true);
    expect(passes({ hosts: ['t.example'] }, 't.example:443', 'https://t.example')).toBe(true);
  });

  it.each([
    ['another page', 'https://evil.example'],
    ['another page of this machine', 'http://localhost:8000'],
    ['a sandboxed page or a file', 'null'],
    ['a part of a listed one', 'https://app.example.com.evil.example'],
    ['a listed one over http', 'http://app.example.com'],
    ['a listed one and another', 'https://app.example.com, https://evil.example'],
    ['an extension', 'chrome-extension://abcdef'],
    ['nothing at all', ''],
  ])('may not be %s', (_, origin) => expect(passes({ origins }, 'localhost:7077', origin)).toBe(false));
});

describe('an address', () => {
  it('is of this machine alone when it says so', () => {
    for (const host of ['localhost', '127.0.0.1', '127.8.8.8', '::1', '[::1]'])
      expect(isLoopback(host), host).toBe(true);
    for (const host of ['0.0.0.0', '::', '127.0.0.1.evil.example', '192.168.0.1', 'example.com', ''])
      expect(isLoopback(host), host).toBe(false);
  });
});
