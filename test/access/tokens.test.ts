import { createHash } from 'node:crypto';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createPrincipal, localPerson } from '../../src/access/principals.ts';
import { createToken, listTokens, principalOf, revokeToken, type TokenRequest } from '../../src/access/tokens.ts';
import { createLog } from '../../src/log.ts';
import { openDatabase } from '../../src/store/database.ts';
import { httpApp } from '../helpers/http.ts';

const now = 1_700_000_000_000;
const by = localPerson();
const ci: TokenRequest = { name: 'ci', kind: 'agent', roles: ['caller'] };

async function store() {
  const database = await openDatabase(':memory:');
  onTestFinished(() => database.close());
  return database;
}

describe('a token', () => {
  it('stands for its principal, with the scopes of its roles and its grants', async () => {
    const database = await store();
    const request = { ...ci, roles: ['viewer', 'author'], tools: ['csv_*'] };
    const { token, info } = await createToken(database, by, request, now);
    expect(token).toMatch(/^twk_[\w-]{43}$/);
    expect(await principalOf(database, token, now)).toEqual({
      id: 'agent:ci',
      tenant: 'local',
      kind: 'agent',
      roles: ['viewer', 'author'],
      scopes: ['read', 'call', 'save'],
      tools: ['csv_*'],
    });
    expect(info).toMatchObject({ principal: 'agent:ci', createdAt: now, createdBy: by.id, tools: ['csv_*'] });
  });

  it('is kept only as its hash, and shown by no list', async () => {
    const database = await store();
    const { token } = await createToken(database, by, ci, now);
    const rows = await database.read.selectFrom('tokens').selectAll().execute();
    expect(rows[0]?.hash).toBe(createHash('sha256').update(token).digest('hex'));
    expect(JSON.stringify(rows)).not.toContain(token.slice(4));
    const listed = JSON.stringify(await listTokens(database, 'local'));
    expect(listed).not.toContain(token.slice(4));
    expect(listed).not.toContain(rows[0]?.hash);
  });

  it('is worth nothing when it is unknown, of another form, expired or revoked', async () => {
    const database = await store();
    const { token, info } = await createToken(database, by, { ...ci, expiresAt: now + 1_000 }, now);
    for (const other of [`${token}x`, token.slice(0, -1), token.toUpperCase(), `x${token}`, 'twk_', '', 'tw\0k_'])
      expect(await principalOf(database, other, now)).toBe('unknown');
    expect(await principalOf(database, token, now + 999)).toMatchObject({ id: 'agent:ci' });
    expect(await principalOf(database, token, now + 1_000)).toBe('expired');
    expect(await revokeToken(database, 'local', info.id, now + 5)).toMatchObject({ revokedAt: now + 5 });
    // Once revoked it stays so, since then.
    expect(await revokeToken(database, 'local', info.id, now + 9)).toMatchObject({ revokedAt: now + 5 });
    expect(await principalOf(database, token, now + 6)).toBe('revoked');
  });

  it('is listed and revoked in its own tenant only', async () => {
    const database = await store();
    const elsewhere = { ...by, tenant: 'other' };
    const { token, info } = await createToken(database, elsewhere, ci, now);
    expect(await listTokens(database, 'local')).toEqual([]);
    await expect(revokeToken(database, 'local', info.id, now)).rejects.toMatchObject({ code: 'not_found' });
    expect(await principalOf(database, token, now)).toMatchObject({ tenant: 'other' });
  });

  it.each<[string, Partial<TokenRequest>]>([
    ['an unknown role', { roles: ['root'] }],
    ['a role of every object', { roles: ['constructor'] }],
    ['one unknown role among others', { roles: ['caller', 'root'] }],
    ['no role', { roles: [] }],
    ['an agent as reviewer', { roles: ['reviewer'] }],
    ['a service as reviewer', { kind: 'service', roles: ['reviewer'] }],
    ['an end in the past', { expiresAt: now }],
    ['an empty name', { name: '' }],
    ['a name with a colon', { name: 'person:ada' }],
    ['a name of two lines', { name: 'ci\nperson:ada' }],
    ['a name that is too long', { name: 'a'.repeat(42) }],
  ])('is not made with %s', async (_, fields) => {
    const database = await store();
    const made = createToken(database, by, { ...ci, ...fields }, now);
    await expect(made).rejects.toMatchObject({ code: 'bad_input', hint: expect.any(String) });
    expect(await listTokens(database, 'local')).toEqual([]);
  });

  it('of an agent or service never approves, whatever its roles', async () => {
    const database = await store();
    for (const kind of ['agent', 'service'] as const) {
      const { token } = await createToken(database, by, { ...ci, kind, roles: ['admin'] }, now);
      const principal = await principalOf(database, token, now);
      expect(principal).toMatchObject({ scopes: expect.not.arrayContaining(['approve']) });
    }
    expect(createPrincipal('person:ada', 'person', ['admin']).scopes).toContain('approve');
  });
});

describe('a request', () => {
  const challenge = /^Bearer realm="toolweaver"/;

  it.each([
    ['without a token', {}],
    ['with another scheme', { authorization: 'Basic YTpi' }],
    ['with a scheme and nothing else', { authorization: 'Bearer' }],
    ['with a token of characters that none has', { authorization: 'Bearer a b' }],
  ])('%s is told to sign in, and not that anything was wrong', async (_, headers) => {
    const app = await httpApp();
    for (const path of ['/mcp', '/v1/tools', '/v1/openapi.json', '/v1/tools/search_tools', '/v1/runs/x']) {
      const method = path.endsWith('search_tools') ? 'POST' : 'GET';
      const answer = await app.send(path, undefined, { headers: headers as Record<string, string>, method });
      expect([answer.status, answer.json.title], path).toEqual([401, 'not_signed_in']);
      expect(answer.headers['www-authenticate']).toMatch(challenge);
      expect(answer.headers['www-authenticate']).not.toContain('error=');
    }
  });

  it('with a wrong, expired or revoked token is told so', async () => {
    const app = await httpApp();
    const expired = await app.tokenFor('old', { expiresAt: Date.now() + 3_600_000 });
    await app.database.write((trx) => trx.updateTable('tokens').set({ expires_at: 1 }).execute());
    const revoked = await app.tokenFor('gone');
    await app.database.write((trx) =>
      trx.updateTable('tokens').set({ revoked_at: 1 }).where('principal', '=', 'agent:gone').execute(),
    );
    for (const [token, why] of [
      ['twk_wrong', 'unknown'],
      [expired, 'expired'],
      [revoked, 'revoked'],
    ] as const) {
      const answer = await app.send('/v1/tools', token);
      expect([answer.status, answer.json.detail]).toEqual([401, `The token is ${why}.`]);
      expect(answer.headers['www-authenticate']).toBe('Bearer realm="toolweaver", error="invalid_token"');
      expect(answer.text).not.toContain(token);
    }
  });

  it('does not sign in by its address or a cookie, where logs and pages would have the token', async () => {
    const app = await httpApp();
    const token = await app.tokenFor('ada');
    expect((await app.send(`/v1/tools?access_token=${token}`)).status).toBe(401);
    expect((await app.send('/v1/tools', undefined, { headers: { cookie: `token=${token}` } })).status).toBe(401);
    expect((await app.send('/v1/tools', token)).status).toBe(200);
    expect((await app.send('/v1/tools', undefined, { headers: { authorization: `bearer  ${token} ` } })).status).toBe(
      200,
    );
  });

  it('leaves no token in the log, not even at debug', async () => {
    const lines: string[] = [];
    const app = await httpApp({ log: createLog('debug', { write: (line) => void lines.push(line) }) });
    const token = await app.tokenFor('ada');
    const wrong = 'twk_a-token-that-is-wrong';
    const headers = { 'mcp-session-id': 'none', accept: 'text/plain' };
    for (const [path, given] of [
      ['/mcp', token],
      ['/mcp', wrong],
      ['/v1/tools/none', token],
      ['/v1/tools', wrong],
    ] as const)
      await app.send(path, given, { body: '{"jsonrpc"', headers });
    for (const secret of [token, wrong]) expect(lines.join('')).not.toContain(secret);
  });
});
