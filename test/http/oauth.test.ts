import { generateKeyPair } from 'jose';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createLog } from '../../src/log.ts';
import { draft } from '../helpers/app.ts';
import { type HttpApp, httpApp, putTool } from '../helpers/http.ts';
import { audience, type Issuer, openIssuer, type TokenFields } from '../helpers/issuer.ts';
import { textOf, until } from '../helpers/process.ts';

const metadata = '/.well-known/oauth-authorization-server';

async function withIssuer(settings: Record<string, unknown> = {}): Promise<{ app: HttpApp; issuer: Issuer }> {
  const issuer = await openIssuer();
  const lines: string[] = [];
  const app = await httpApp({
    settings: { auth: 'oauth', issuer: issuer.url, audience, ...settings },
    log: createLog('error', { write: (line) => void lines.push(line) }),
  });
  putTool(app, 'whoami', (_, { request: { principal } }) => ({ ...principal }));
  return { app, issuer };
}

const ask = (app: HttpApp, token: string) => app.send('/v1/tools/whoami', token, { body: {} });

afterEach(() => {
  vi.useRealTimers();
});

describe('an access token of the issuer', () => {
  it('signs its client in as an agent with the scopes that it has, and never as a person', async () => {
    const { app, issuer } = await withIssuer();
    const answer = await ask(app, await issuer.token());
    expect([answer.status, answer.json]).toEqual([
      200,
      {
        id: 'oauth:client-7',
        tenant: 'local',
        kind: 'agent',
        roles: [],
        scopes: ['read', 'call', 'save'],
        isRemote: true,
      },
    ]);
    const scope = 'toolweaver:call toolweaver:read toolweaver:approve toolweaver:admin approve';
    const some = await ask(app, await issuer.token({ claims: { scope } }));
    expect(some.json.scopes).toEqual(['read', 'call']);
    const listed = await ask(app, await issuer.token({ claims: { scp: ['toolweaver:call'] }, without: ['scope'] }));
    expect(listed.json.scopes).toEqual(['call']);
    const many = await ask(app, await issuer.token({ claims: { aud: ['https://other.example', audience] } }));
    expect(many.status).toBe(200);
  });

  it.each(['2025-11-25', '2026-07-28'] as const)('serves an MCP client of %s', async (era) => {
    const { app, issuer } = await withIssuer();
    const client = await app.client(era, await issuer.token());
    expect((await client.callTool({ name: 'whoami' })).structuredContent).toMatchObject({ id: 'oauth:client-7' });
    const reader = await app.client(era, await issuer.token({ claims: { scope: 'toolweaver:read' } }));
    expect(textOf(await reader.callTool({ name: 'save_skill', arguments: draft() }))).toMatch(/^\[not_allowed\]/);
  });

  const hour = 3_600;
  const now = Math.floor(Date.now() / 1_000);
  it.each<[string, TokenFields]>([
    ['expired', { claims: { exp: now - 1 } }],
    ['without an end', { without: ['exp'] }],
    ['not valid yet', { claims: { nbf: now + hour } }],
    ['for another audience', { claims: { aud: 'https://other.example/mcp' } }],
    ['for a part of the audience', { claims: { aud: 'https://tools.example.com' } }],
    ['for nobody', { without: ['aud'] }],
    ['of another issuer', { claims: { iss: 'https://issuer.example' } }],
    ['of no issuer', { without: ['iss'] }],
    ['about nobody', { without: ['sub'] }],
    ['about an empty name', { claims: { sub: '' } }],
    ['about an endless name', { claims: { sub: 's'.repeat(5_000) } }],
    ['about what is no text', { claims: { sub: { $ne: 1 } as unknown as string } }],
    ['of a key that is not there', { header: { kid: 'another' } }],
  ])('is refused when it is %s', async (what, fields) => {
    const { app, issuer } = await withIssuer();
    const token = await issuer.token(fields);
    const answer = await ask(app, token);
    expect([answer.status, answer.json.title]).toEqual([401, 'not_signed_in']);
    expect(answer.json.detail).toContain(what === 'expired' ? 'has expired' : 'is not one of the issuer');
    expect(answer.headers['www-authenticate']).toContain('error="invalid_token"');
    expect(answer.text).not.toContain(token.slice(-20));
  });

  it('is refused when another key signed it, though it names the right one', async () => {
    const { app, issuer } = await withIssuer();
    const { privateKey } = await generateKeyPair('ES256');
    expect((await ask(app, await issuer.token({ key: privateKey }))).status).toBe(401);
    const rsa = await generateKeyPair('RS256');
    expect((await ask(app, await issuer.token({ key: rsa.privateKey, header: { alg: 'RS256' } }))).status).toBe(401);
  });

  it('is refused when nobody signed it, or the public key did as a shared secret', async () => {
    const { app, issuer } = await withIssuer();
    const [, payload = '', signature] = (await issuer.token()).split('.');
    const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    for (const alg of ['none', 'None', 'NONE']) {
      for (const end of ['', signature])
        expect((await ask(app, `${encode({ alg })}.${payload}.${end}`)).status, alg).toBe(401);
    }
    const secret = new TextEncoder().encode(await issuer.publicKey());
    expect((await ask(app, await issuer.token({ key: secret, header: { alg: 'HS256' } }))).status).toBe(401);
    // None of these was worth a question to the issuer.
    expect(issuer.asked).toEqual([]);
  });

  it('is refused when it was changed, is none at all, or is one of this server', async () => {
    const { app, issuer } = await withIssuer();
    const [head, , signature] = (await issuer.token()).split('.');
    const more = Buffer.from(JSON.stringify({ iss: issuer.url, aud: audience, sub: 'root', exp: now + hour })).toString(
      'base64url',
    );
    const own = await app.tokenFor('ada');
    for (const token of [`${head}.${more}.${signature}`, 'a.b.c', '..', 'x', own]) {
      expect((await ask(app, token)).status, token).toBe(401);
    }
  });

  it('without any scope of this server is 403, and the challenge says which to ask for', async () => {
    const { app, issuer } = await withIssuer();
    for (const fields of [
      { claims: { scope: 'openid' } },
      { without: ['scope'] },
      { claims: { scope: 'toolweaver:approve' } },
    ]) {
      const answer = await ask(app, await issuer.token(fields));
      expect([answer.status, answer.json.title]).toEqual([403, 'not_allowed']);
      expect(answer.headers['www-authenticate']).toBe(
        'Bearer resource_metadata="https://tools.example.com/.well-known/oauth-protected-resource/mcp", ' +
          'scope="toolweaver:read toolweaver:call toolweaver:save", error="insufficient_scope"',
      );
    }
  });
});

describe('a rotation of keys', () => {
  it('is noticed at the first token of the new key, from when on the old ones are worth nothing', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const { app, issuer } = await withIssuer();
    const old = await issuer.token();
    expect((await ask(app, old)).status).toBe(200);
    await issuer.rotate();
    vi.setSystemTime(Date.now() + 10_000);
    expect((await ask(app, await issuer.token())).status).toBe(200);
    expect((await ask(app, old)).status).toBe(401);
  });

  it('is not looked for at every token that names an unknown key', async () => {
    const { app, issuer } = await withIssuer();
    expect((await ask(app, await issuer.token())).status).toBe(200);
    const before = issuer.asked.length;
    for (let n = 0; n < 20; n++)
      expect((await ask(app, await issuer.token({ header: { kid: `unknown-${n}` } }))).status).toBe(401);
    expect(issuer.asked.length - before).toBe(0);
  });
});

describe('an issuer', () => {
  it('that is down makes the answer 503, not 401, and is asked again when it is back', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const { app, issuer } = await withIssuer();
    const token = await issuer.token();
    await issuer.down();
    for (let n = 0; n < 3; n++) {
      const answer = await ask(app, token);
      expect([answer.status, answer.json.title]).toEqual([503, 'unavailable']);
      expect(answer.headers['www-authenticate']).toBeUndefined();
    }
    await issuer.up();
    vi.setSystemTime(Date.now() + 2_000);
    expect(await until(async () => (await ask(app, token)).status === 200)).toBe(true);
  });

  it('that goes down later still lets known keys in, and makes the answer to others 503', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const { app, issuer } = await withIssuer();
    const token = await issuer.token();
    expect((await ask(app, token)).status).toBe(200);
    await issuer.down();
    await issuer.rotate();
    vi.setSystemTime(Date.now() + 10_000);
    expect((await ask(app, token)).status).toBe(200);
    expect((await ask(app, await issuer.token())).status).toBe(503);
  });

  it('is asked once by many who come at once, and after a failure not at every request', async () => {
    const { app, issuer } = await withIssuer();
    const token = await issuer.token();
    await Promise.all(Array.from({ length: 20 }, () => ask(app, token)));
    expect(issuer.asked).toEqual([metadata, '/keys']);

    const other = await withIssuer();
    other.issuer.says.set(metadata, undefined);
    for (let n = 0; n < 10; n++) expect((await ask(other.app, await other.issuer.token())).status).toBe(503);
    expect(other.issuer.asked.length).toBeLessThanOrEqual(4);
  });

  it.each<[string, (issuer: Issuer) => unknown]>([
    ['names another issuer', ({ url }) => ({ issuer: 'https://issuer.example', jwks_uri: `${url}/keys` })],
    ['names itself a little differently', ({ url }) => ({ issuer: `${url}/`, jwks_uri: `${url}/keys` })],
    ['does not say where the keys are', ({ url }) => ({ issuer: url })],
    ['has its keys in a file', ({ url }) => ({ issuer: url, jwks_uri: 'file:///etc/passwd' })],
    ['has an address that is none', ({ url }) => ({ issuer: url, jwks_uri: 'keys' })],
    ['is a list', () => []],
    ['is text', () => 'hello'],
    ['redirects', () => 302],
    ['is broken', () => 500],
  ])('whose metadata %s is not taken', async (_, says) => {
    const { app, issuer } = await withIssuer();
    issuer.says.set(metadata, says(issuer));
    const answer = await ask(app, await issuer.token());
    expect([answer.status, answer.json.title]).toEqual([503, 'unavailable']);
    expect(issuer.asked).not.toContain('/elsewhere');
    expect(issuer.asked).not.toContain('/keys');
  });

  it.each([
    ['no set of keys', { hello: 1 }],
    ['an error', 500],
    ['a redirect', 302],
  ])('that answers with %s where its keys should be is 503', async (_, says) => {
    const { app, issuer } = await withIssuer();
    issuer.says.set('/keys', says);
    expect((await ask(app, await issuer.token())).status).toBe(503);
    expect(issuer.asked).not.toContain('/elsewhere');
  });

  it('may have its metadata where OpenID providers have theirs', async () => {
    const { app, issuer } = await withIssuer();
    issuer.says.set(metadata, undefined);
    issuer.says.set('/.well-known/openid-configuration', { issuer: issuer.url, jwks_uri: `${issuer.url}/keys` });
    expect((await ask(app, await issuer.token())).status).toBe(200);
  });

  it('with a path has its metadata where RFC 8414 puts them', async () => {
    const issuer = await openIssuer();
    const name = `${issuer.url}/realms/one`;
    issuer.says.set(`${metadata}/realms/one`, { issuer: name, jwks_uri: `${issuer.url}/keys` });
    const app = await httpApp({ settings: { auth: 'oauth', issuer: name, audience } });
    const token = await issuer.token({ claims: { iss: name } });
    expect((await app.send('/v1/tools', token)).status).toBe(200);
  });
});

describe('the metadata of this server (RFC 9728)', () => {
  it('tells anybody which issuer and scopes, where the challenge points', async () => {
    const { app, issuer } = await withIssuer();
    const refused = await app.send('/mcp', undefined, { body: {} });
    expect(refused.status).toBe(401);
    const challenge = String(refused.headers['www-authenticate']);
    expect(challenge).toBe(
      'Bearer resource_metadata="https://tools.example.com/.well-known/oauth-protected-resource/mcp", ' +
        'scope="toolweaver:read toolweaver:call toolweaver:save"',
    );
    for (const path of ['/.well-known/oauth-protected-resource/mcp', '/.well-known/oauth-protected-resource']) {
      const answer = await app.send(path);
      expect([answer.status, answer.json]).toEqual([
        200,
        {
          resource: audience,
          authorization_servers: [issuer.url],
          scopes_supported: ['toolweaver:read', 'toolweaver:call', 'toolweaver:save'],
          bearer_methods_supported: ['header'],
          resource_name: 'ToolWeaver',
        },
      ]);
    }
  });

  it.each([
    ['https://tools.example.com', '/.well-known/oauth-protected-resource'],
    ['https://tools.example.com/', '/.well-known/oauth-protected-resource'],
    ['https://example.com/teams/one/mcp', '/.well-known/oauth-protected-resource/teams/one/mcp'],
  ])('stands where clients look for it: %s', async (resource, path) => {
    const { app } = await withIssuer({ audience: resource });
    const { headers } = await app.send('/mcp');
    expect(headers['www-authenticate']).toContain(`resource_metadata="${new URL(path, resource)}"`);
    expect((await app.send(path)).json).toMatchObject({ resource });
  });

  it('is not there without OAuth', async () => {
    const app = await httpApp();
    expect((await app.send('/.well-known/oauth-protected-resource')).status).toBe(404);
  });
});
