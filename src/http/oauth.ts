import type { JWTPayload, JWTVerifyGetKey } from 'jose';
import { createPrincipal } from '../access/principals.ts';
import type { Principal, Scope } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import { isRecord } from '../json.ts';
import { type Authenticate, bearerOf } from './auth.ts';

export interface OAuthRules {
  issuer: string;
  audience: string;
}

const discoveryTimeoutMs = 5_000;
/** How long an issuer that did not answer is left alone, since anybody can make us ask it. */
const retryMs = 1_000;
/** How soon after the keys were read an unknown key makes us read them again: what a rotation needs. */
const cooldownMs = 5_000;
const maxSubjectLength = 200;
// Signatures by a key pair only: `none` and shared secrets are never taken (RFC 8725, section 3.1).
const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'];
const scopePrefix = 'toolweaver:';

/** The scopes that clients may ask an issuer for. */
export const oauthScopes = ['toolweaver:read', 'toolweaver:call', 'toolweaver:save'] as const;

/**
 * By access tokens of an OAuth issuer (JWT, RFC 9068): signature, issuer, audience, time and scopes are checked; keys are
 * fetched from the issuer and fetched anew when it rotates them. Whoever comes this way is an agent and never approves.
 */
export function authenticateByOAuth({ issuer, audience }: OAuthRules): Authenticate {
  const keys = issuerKeys(issuer);
  const claims = { issuer, audience, algorithms, requiredClaims: ['exp', 'sub'] };
  return async (request) => {
    const token = bearerOf(request);
    const { jwtVerify, errors } = await import('jose');
    try {
      const { payload } = await jwtVerify(token, keys, claims);
      return toPrincipal(payload);
    } catch (thrown) {
      if (thrown instanceof WeaverError) throw thrown;
      throw thrown instanceof errors.JOSEError && !keyTrouble.includes(thrown.code)
        ? refusal(thrown)
        : unreadable(thrown);
    }
  };
}

function toPrincipal(payload: JWTPayload): Principal {
  const { sub } = payload;
  if (typeof sub !== 'string' || sub === '' || sub.length > maxSubjectLength) throw refusal();
  const scopes = scopesOf(payload);
  if (scopes.length === 0) {
    throw new WeaverError('not_allowed', 'The access token has none of the scopes of this server.', {
      hint: `Ask the issuer for ${oauthScopes.join(' ')}.`,
      details: { scopes: [...oauthScopes] },
    });
  }
  return { ...createPrincipal(`oauth:${sub}`, 'agent', []), scopes };
}

function scopesOf({ scope, scp }: JWTPayload): Scope[] {
  const named = typeof scope === 'string' ? scope.split(' ') : Array.isArray(scp) ? scp.map(String) : [];
  return oauthScopes.filter((one) => named.includes(one)).map((one) => one.slice(scopePrefix.length) as Scope);
}

function refusal(cause?: { code: string }): WeaverError {
  const why = cause?.code === 'ERR_JWT_EXPIRED' ? 'has expired' : 'is not one of the issuer for this server';
  return new WeaverError('not_signed_in', `The access token ${why}.`, {
    hint: 'Get a new one from the issuer.',
    cause,
  });
}

// Errors of jose that are about the issuer's keys, not about the token.
const keyTrouble = ['ERR_JWKS_TIMEOUT', 'ERR_JWKS_INVALID', 'ERR_JOSE_GENERIC'];

const unreadable = (cause: unknown): WeaverError =>
  new WeaverError('unavailable', "The issuer's keys cannot be read just now.", {
    hint: 'Try again in a moment.',
    cause,
  });

/** The issuer's keys, looked for at the first token that could be one of its own. */
function issuerKeys(issuer: string): JWTVerifyGetKey {
  let found: Promise<JWTVerifyGetKey> | undefined;
  let failedAt: number | undefined;
  return async (header, token) => {
    // Either way: a clock that was set back must not put it off for as long.
    if (failedAt !== undefined && Math.abs(Date.now() - failedAt) >= retryMs)
      [found, failedAt] = [undefined, undefined];
    found ??= findKeys(issuer).catch((error: unknown) => {
      failedAt = Date.now();
      throw error;
    });
    return (await found)(header, token);
  };
}

// RFC 8414, section 3: the issuer's metadata says where its keys are; OpenID providers have theirs beside it.
async function findKeys(issuer: string): Promise<JWTVerifyGetKey> {
  const { createRemoteJWKSet } = await import('jose');
  const base = new URL(issuer);
  const path = base.pathname.replace(/\/$/, '');
  for (const place of [`/.well-known/oauth-authorization-server${path}`, `${path}/.well-known/openid-configuration`]) {
    const metadata = await fetchJson(new URL(place, base));
    const address = isRecord(metadata) && metadata.issuer === issuer ? metadata.jwks_uri : undefined;
    if (isKeyAddress(address, base)) return createRemoteJWKSet(new URL(address), { cooldownDuration: cooldownMs });
  }
  throw new WeaverError('unavailable', `The issuer ${base.origin} does not say where its keys are.`, {
    hint: 'Check --issuer: its metadata must be readable from this machine and name the same issuer.',
  });
}

// Never over a weaker connection than the issuer's own.
const isKeyAddress = (address: unknown, { protocol }: URL): address is string =>
  typeof address === 'string' && URL.canParse(address) && ['https:', protocol].includes(new URL(address).protocol);

async function fetchJson(address: URL): Promise<unknown> {
  try {
    const response = await fetch(address, { redirect: 'error', signal: AbortSignal.timeout(discoveryTimeoutMs) });
    return response.ok ? await response.json() : undefined;
  } catch {
    return undefined; // The next place is tried; when none answers, the caller says so.
  }
}
