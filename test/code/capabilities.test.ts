import { describe, expect, it } from 'vitest';
import { type Declaration, readCapabilities } from '../../src/code/capabilities.ts';

const read = (declaration: Declaration, allowAnyHost = false) => readCapabilities(declaration, { allowAnyHost });

describe('a declaration', () => {
  it('of nothing grants nothing, and leaves tools to the source', () => {
    expect(read({})).toEqual({ declared: { net: [], secrets: [], files: 'none' }, findings: [] });
  });

  it.each<[string, Declaration, Declaration]>([
    ['a host', { net: ['API.github.com'] }, { net: [{ host: 'api.github.com' }] }],
    ['a method', { net: ['get api.github.com'] }, { net: [{ host: 'api.github.com', methods: ['GET'] }] }],
    [
      'methods and ports',
      { net: ['post,GET *.a.example:8443,443'] },
      { net: [{ host: '*.a.example', methods: ['GET', 'POST'], ports: [443, 8443] }] },
    ],
    ['an address', { net: ['[::1]:8080'] }, { net: [{ host: '[::1]', ports: [8080] }] }],
    ['two entries of one host', { net: ['GET a.b', 'PUT a.b'] }, { net: [{ host: 'a.b', methods: ['GET', 'PUT'] }] }],
    ['a wider entry of one host', { net: ['GET a.b', 'a.b'] }, { net: [{ host: 'a.b' }] }],
    ['empty lists', { net: [{ host: 'a.b', methods: [], ports: [] }] }, { net: [{ host: 'a.b' }] }],
    [
      'another order',
      { net: ['b.example', 'a.example:8443', 'a.example'] },
      { net: [{ host: 'a.example' }, { host: 'a.example', ports: [8443] }, { host: 'b.example' }] },
    ],
  ])('in short says the same as its long form: %s', (_, short, long) => {
    expect(read(short).findings).toEqual([]);
    expect(read(short).declared.net).toEqual(long.net);
    expect(read({ net: read(short).declared.net }).declared.net).toEqual(long.net);
  });

  it.each<[string, string[], string | { name: string; host?: string }, object]>([
    ['where there is one host', ['a.b'], 'TOKEN', { name: 'TOKEN', host: 'a.b', header: 'authorization' }],
    ['by its host', ['a.b', 'c.d'], 'TOKEN@c.d', { name: 'TOKEN', host: 'c.d', header: 'authorization' }],
    ['by its header', ['a.b'], 'TOKEN:X-Api-Key', { name: 'TOKEN', host: 'a.b', header: 'x-api-key' }],
    ['by both', ['*.b.c'], 'TOKEN@a.b.c:x-key', { name: 'TOKEN', host: 'a.b.c', header: 'x-key' }],
    ['by its port', ['a.b:8443'], 'TOKEN@a.b:8443', { name: 'TOKEN', host: 'a.b:8443', header: 'authorization' }],
    ['by the only port', ['a.b:8443'], 'TOKEN:x-key', { name: 'TOKEN', host: 'a.b:8443', header: 'x-key' }],
    ['by all', ['[::1]:8443'], 'TOKEN@[::1]:8443:x-key', { name: 'TOKEN', host: '[::1]:8443', header: 'x-key' }],
    ['by the usual port', ['a.b'], 'TOKEN@a.b:443', { name: 'TOKEN', host: 'a.b', header: 'authorization' }],
    ['as an object', ['a.b'], { name: 'TOKEN' }, { name: 'TOKEN', host: 'a.b', header: 'authorization' }],
  ])('binds a secret to host and header, %s', (_, net, secret, expected) => {
    expect(read({ net, secrets: [secret] })).toMatchObject({ declared: { secrets: [expected] }, findings: [] });
  });

  it('names tools, with ranges or without', () => {
    const { declared, findings } = read({ tools: ['b@^1', 'a', 'a'] });
    expect(findings).toEqual([]);
    expect(declared.tools).toEqual([
      { name: 'a', range: '*' },
      { name: 'b', range: '^1' },
    ]);
  });

  it.each<[string, Declaration, string, string]>([
    ['any host', { net: ['*'] }, 'any_host', 'TOOLWEAVER_ALLOW_ANY_HOST'],
    ['an address of a page', { net: ['https://api.github.com/v1'] }, 'net_form', 'no scheme'],
    ['an unknown method', { net: ['FETCH a.b'] }, 'net_form', 'GET'],
    ['no host', { net: ['GET '] }, 'net_form', 'api.example.com'],
    ['a port over all ports', { net: ['a.b:70000'] }, 'net_form', '65535'],
    ['port 0', { net: [{ host: 'a.b', ports: [0] }] }, 'net_form', '65535'],
    ['an address in disguise', { net: ['0x7f000001'] }, 'net_form', 'DNS'],
    ['a secret without a host', { secrets: ['TOKEN'] }, 'secret_form', 'TOKEN@'],
    ['a secret for one of two hosts', { net: ['a.b', 'c.d'], secrets: ['TOKEN'] }, 'secret_form', 'TOKEN@'],
    ['a secret for all sub-domains', { net: ['*.a.b'], secrets: ['TOKEN'] }, 'secret_form', 'TOKEN@'],
    ['a secret for another host', { net: ['a.b'], secrets: ['TOKEN@c.d'] }, 'secret_form', '"c.d"'],
    ['a secret for another port', { net: ['a.b'], secrets: ['TOKEN@a.b:8443'] }, 'secret_form', '"a.b:8443"'],
    ['a secret in small letters', { net: ['a.b'], secrets: ['token'] }, 'secret_form', 'GITHUB_TOKEN'],
    ['a secret in the Host header', { net: ['a.b'], secrets: ['T:host'] }, 'secret_form', 'authorization'],
    [
      'a secret in a header that is none',
      { net: ['a.b'], secrets: [{ name: 'T', header: 'a\r\nb' }] },
      'secret_form',
      'x-api-key',
    ],
    ['a tool with a bad range', { tools: ['a@newest'] }, 'tool_form', 'csv_summary'],
  ])('may not have %s', (_, declaration, rule, remedy) => {
    const { findings } = read(declaration);
    expect(findings).toMatchObject([
      { rule, severity: 'error', where: expect.stringMatching(/^capabilities\.\w+\[0\]$/) },
    ]);
    expect(findings[0]?.remedy).toContain(remedy);
  });

  it('may have any host where the settings say so', () => {
    expect(read({ net: ['GET *'] }, true)).toMatchObject({
      declared: { net: [{ host: '*', methods: ['GET'] }] },
      findings: [],
    });
  });

  it('hears of all that is wrong with it at once', () => {
    expect(read({ net: ['*', 'a b c', 'ok.example'], tools: ['@'] }).findings.map(({ where }) => where)).toEqual([
      'capabilities.net[0]',
      'capabilities.net[1]',
      'capabilities.tools[0]',
    ]);
  });
});
