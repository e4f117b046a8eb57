import { describe, expect, it } from 'vitest';
import type { Reach } from '../../src/contracts.ts';
import { nextVersion } from '../../src/library/bump.ts';
import type { Manifest } from '../../src/library/kind.ts';

const manifest = (fields: Partial<Manifest> = {}): Manifest =>
  ({
    name: 'a',
    input: { type: 'object' },
    output: { type: 'object' },
    capabilities: { net: [], secrets: [], tools: [], files: 'none' },
    ...fields,
  }) as Manifest;
const before = (version: string, fields?: Partial<Manifest>) => ({ version, manifest: manifest(fields) });

describe('the next version', () => {
  it('is 1.0.0 at first, or the wanted one', () => {
    expect(nextVersion(manifest(), undefined, undefined)).toMatchObject({ version: '1.0.0', bump: 'first' });
    expect(nextVersion(manifest(), undefined, '0.3.1')).toMatchObject({ version: '0.3.1', bump: 'first' });
  });

  it.each([
    ['nothing of the schemas changed', {}, '1.2.4', 'patch'],
    ['the order of keys alone changed', { input: { type: 'object' } }, '1.2.4', 'patch'],
    ['the input schema changed', { input: { type: 'object', title: 'x' } }, '2.0.0', 'major'],
    ['the output schema changed', { output: { type: 'object', title: 'x' } }, '2.0.0', 'major'],
    ['the output schema came', { output: undefined }, '2.0.0', 'major'],
    ['it reaches less', { reach: { net: [{ host: 'a.example' }], secrets: [], files: 'write' } }, '1.2.4', 'patch'],
  ] as const)('when %s', (_, fields, version, bump) => {
    expect(nextVersion(manifest(), before('1.2.3', fields as Partial<Manifest>), undefined)).toMatchObject({
      version,
      bump,
    });
  });

  it.each<[string, Partial<Reach>, string]>([
    ['a host', { net: [{ host: 'c.example' }] }, 'it now sends any request to c.example'],
    ['a method', { net: [{ host: 'a.example', methods: ['POST'] }] }, 'it now sends POST requests to a.example'],
    ['a port', { net: [{ host: 'b.example', ports: [8443] }] }, 'it now sends any request to b.example on port 8443'],
    ['all sub-domains', { net: [{ host: '*.b.example' }] }, 'it now sends any request to any sub-domain of b.example'],
    [
      'a secret',
      { secrets: [{ name: 'TOKEN', host: 'b.example', header: 'x-key' }] },
      'it now has the secret TOKEN put into the header x-key of requests to b.example, over https',
    ],
    ['files to write', { files: 'write' }, 'it now reads and writes the files of its workspace'],
  ])('is a major one for %s more to reach', (_, more, reason) => {
    const reach: Reach = {
      net: [{ host: 'a.example', methods: ['GET'] }, { host: 'b.example' }],
      secrets: [],
      files: 'read',
    };
    const next = nextVersion(manifest({ reach: { ...reach, ...more } }), before('1.2.3', { reach }), undefined);
    expect(next).toEqual({ version: '2.0.0', bump: 'major', reasons: [reason] });
    expect(() => nextVersion(manifest({ reach: { ...reach, ...more } }), before('1.2.3', { reach }), '1.3.0')).toThrow(
      expect.objectContaining({ message: expect.stringContaining(reason) }),
    );
  });

  it('is a major one for one more tool, and none for a narrower host, another range or a tool less', () => {
    const tools = [{ name: 'b', range: '^1' }];
    const capabilities = { net: [], secrets: [], tools, files: 'none' as const };
    const reach: Reach = { net: [{ host: '*.a.example' }], secrets: [], files: 'none' };
    const narrower: Reach = { ...reach, net: [{ host: 'b.a.example', methods: ['GET'] }] };
    const old = before('1.2.3', { capabilities, reach });
    const other = { ...capabilities, tools: [{ name: 'b', range: '^2' }] };
    expect(nextVersion(manifest({ capabilities: other, reach: narrower }), old, undefined).bump).toBe('patch');
    expect(nextVersion(manifest({ reach }), old, undefined).bump).toBe('patch');
    const more = { ...capabilities, tools: [...tools, { name: 'c', range: '*' }] };
    expect(nextVersion(manifest({ capabilities: more, reach }), old, undefined)).toMatchObject({
      bump: 'major',
      reasons: ['it now calls the tool c'],
    });
  });

  it('is a major one where the version before cannot be read', () => {
    expect(nextVersion(manifest(), { version: '1.2.3' }, undefined)).toMatchObject({ version: '2.0.0', bump: 'major' });
  });

  it('may be higher than needed', () => {
    for (const wanted of ['1.2.4', '1.3.0', '7.0.0', '999999.0.0'])
      expect(nextVersion(manifest(), before('1.2.3'), wanted).version).toBe(wanted);
    expect(nextVersion(manifest(), before('1.2.3', { input: {} }), '2.0.0').version).toBe('2.0.0');
  });

  it.each(['1.2.3', '1.2.2', '0.9.9'])('may not be %s, which is not above 1.2.3', (wanted) => {
    expect(() => nextVersion(manifest(), before('1.2.3'), wanted)).toThrow(
      expect.objectContaining({ code: 'bad_input', message: `a: version ${wanted} is not above 1.2.3.` }),
    );
  });

  it.each(['1.2.4', '1.99.0'])('may not be %s, too small a step for a changed schema', (wanted) => {
    expect(() => nextVersion(manifest(), before('1.2.3', { input: {} }), wanted)).toThrow(
      expect.objectContaining({
        code: 'bad_input',
        message: expect.stringContaining('the input schema changed'),
        details: { least: '2.0.0', reasons: ['the input schema changed'] },
      }),
    );
  });

  it.each([
    '',
    '1',
    '1.2',
    'v1.2.3',
    '1.2.3-beta',
    '1.2.3+build',
    '01.2.3',
    '1.2.3 ',
    ' 1.2.3',
    'latest',
    '^1',
    '1.2.3.4',
    '-1.0.0',
    '1000000.0.0',
    '9007199254740991.9007199254740991.9007199254740991',
  ])('may not be %j, which is no plain version', (wanted) => {
    expect(() => nextVersion(manifest(), undefined, wanted)).toThrow(
      expect.objectContaining({ code: 'bad_input', message: expect.stringContaining('no plain version') }),
    );
  });

  it('can always be counted on from', () => {
    const highest = nextVersion(manifest(), undefined, '999999.999999.999999').version;
    expect(nextVersion(manifest(), before(highest), undefined).version).toBe('999999.999999.1000000');
    expect(nextVersion(manifest(), before(highest, { input: {} }), undefined).version).toBe('1000000.0.0');
  });
});
