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
  let keys: ReturnType<typeof loadKeys> | undefined;
  return async (request) => {
    const token = bearerOf(request);
    const { jwtVerify } = await import('jose');
    keys ??= loadKeys(issuer).catch((error: unknown) => {
      keys = undefined;
      throw error;
    });
    const verifyWith = await keys;
    const payload = await jwtVerify(token, verifyWith, {
      issuer,
      audience,
      algorithms,
      requiredClaims: ['exp', 'sub'],
    }).then(
      (verified) => verified.payload,
      (cause: unknown) => {
        throw refusal(cause);
      },
    );
    return toPrincipal(payload);
  };
}

function toPrincipal(payload: Record<string, unknown>): Principal {
  const scopes = scopesOf(payload);
  if (scopes.length === 0) {
    throw new WeaverError('not_allowed', 'The access token has none of the scopes of this server.', {
      hint: `Ask the issuer for ${oauthScopes.join(' ')}.`,
      details: { scopes: [...oauthScopes] },
    });
  }
  return { ...createPrincipal(`oauth:${String(payload.sub)}`, 'agent', []), scopes };
}

function scopesOf({ scope, scp }: Record<string, unknown>): Scope[] {
  const named = typeof scope === 'string' ? scope.split(' ') : Array.isArray(scp) ? scp.map(String) : [];
  const known: readonly string[] = oauthScopes;
  return named.filter((one) => known.includes(one)).map((one) => one.slice(scopePrefix.length) as Scope);
}

function refusal(cause: unknown): WeaverError {
  const { code = '' } = cause as { code?: string };
  if (code === 'ERR_JWKS_TIMEOUT' || code === 'ERR_JOSE_GENERIC') {
    return new WeaverError('unavailable', "The issuer's keys cannot be read just now.", {
      hint: 'Try again in a moment.',
      cause,
    });
  }
  const why = code === 'ERR_JWT_EXPIRED' ? 'has expired' : 'is not one of the issuer for this server';
  return new WeaverError('not_signed_in', `The access token ${why}.`, {
    hint: 'Get a new one from the issuer.',
    cause,
  });
}

// RFC 8414, section 3: the issuer's metadata says where its keys are; OpenID providers have theirs beside it.
async function loadKeys(issuer: string) {
  const { createRemoteJWKSet } = await import('jose');
  const base = new URL(issuer);
  const path = base.pathname.replace(/\/$/, '');
  const places = [`/.well-known/oauth-authorization-server${path}`, `${path}/.well-known/openid-configuration`];
  for (const place of places) {
    const metadata = await fetchJson(new URL(place, base));
    const address = isRecord(metadata) && metadata.issuer === issuer ? metadata.jwks_uri : undefined;
    if (typeof address === 'string' && URL.canParse(address))
      return createRemoteJWKSet(new URL(address), { cooldownDuration: 5_000 });
  }
  throw new WeaverError('unavailable', `The issuer ${base.origin} does not say where its keys are.`, {
    hint: 'Check --issuer: its metadata must be readable from this machine and name the same issuer.',
  });
}

async function fetchJson(address: URL): Promise<unknown> {
  try {
    const response = await fetch(address, { redirect: 'error', signal: AbortSignal.timeout(discoveryTimeoutMs) });
    return response.ok ? await response.json() : undefined;
  } catch {
    return undefined; // The next place is tried; when none answers, the caller says so.
  }
}
