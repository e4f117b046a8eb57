import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CryptoKey, exportJWK, exportSPKI, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose';
import { onTestFinished } from 'vitest';

export const audience = 'https://tools.example.com/mcp';

export interface TokenFields {
  claims?: JWTPayload;
  /** Claims that are left out. */
  without?: readonly string[];
  header?: { kid?: string; alg?: string };
  /** Signed with this instead of the issuer's newest key. */
  key?: CryptoKey | Uint8Array;
}

/** A small OAuth issuer on the loopback, with real keys. */
export interface Issuer {
  url: string;
  /** The public half of its newest key as text. */
  publicKey(): Promise<string>;
  /** An access token for `audience` with every scope, unless the fields say otherwise. */
  token(fields?: TokenFields): Promise<string>;
  /** A new key in the place of all before. */
  rotate(): Promise<void>;
  /** What it says instead of its metadata and keys; `undefined` is a 404. */
  says: Map<string, unknown>;
  /** Every path that was asked for. */
  asked: string[];
  down(): Promise<void>;
  up(): Promise<void>;
}

const keysPath = '/keys';
const metadataPath = '/.well-known/oauth-authorization-server';

export async function openIssuer(): Promise<Issuer> {
  const asked: string[] = [];
  const says = new Map<string, unknown>();
  let [generation, keys] = [0, await generateKeyPair('ES256', { extractable: true })];
  const kid = () => `key-${generation}`;
  let server = createServer();
  let port = 0;
  const url = () => `http://127.0.0.1:${port}`;
  const standard = async (path: string): Promise<unknown> => {
    if (path === metadataPath) return { issuer: url(), jwks_uri: `${url()}${keysPath}` };
    if (path !== keysPath) return undefined;
    const jwk: JWK = { ...(await exportJWK(keys.publicKey)), kid: kid(), alg: 'ES256', use: 'sig' };
    return { keys: [jwk] };
  };
  const up = async () => {
    server = createServer(async ({ url: path = '' }, response) => {
      asked.push(path);
      const said = says.has(path) ? says.get(path) : await standard(path);
      if (said === undefined) return void response.writeHead(404).end();
      if (typeof said === 'number') return void response.writeHead(said, { location: `${url()}/elsewhere` }).end();
      response.writeHead(200, { 'content-type': 'application/json', connection: 'close' }).end(JSON.stringify(said));
    });
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    port = (server.address() as AddressInfo).port;
  };
  const down = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  await up();
  onTestFinished(() => void server.close());
  return {
    url: url(),
    says,
    asked,
    up,
    down,
    publicKey: () => exportSPKI(keys.publicKey),
    async rotate() {
      generation++;
      keys = await generateKeyPair('ES256', { extractable: true });
    },
    async token({ claims = {}, without = [], header = {}, key = keys.privateKey } = {}) {
      const at = Math.floor(Date.now() / 1_000);
      const all: JWTPayload = {
        iss: url(),
        aud: audience,
        sub: 'client-7',
        iat: at,
        exp: at + 300,
        scope: 'openid toolweaver:read toolweaver:call toolweaver:save',
        ...claims,
      };
      for (const claim of without) delete all[claim];
      return new SignJWT(all).setProtectedHeader({ alg: 'ES256', kid: kid(), ...header }).sign(key);
    },
  };
}
