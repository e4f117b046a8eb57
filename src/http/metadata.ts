import type { WeaverError } from '../errors.ts';
import type { Route } from './listener.ts';
import { type OAuthRules, oauthScopes } from './oauth.ts';
import { sendJson } from './problem.ts';

const wellKnown = '/.well-known/oauth-protected-resource';

/** Says which issuer's tokens are taken here (RFC 9728, section 3): at the root, for `/mcp`, and where the audience has it. */
export function metadataRoutes(rules: OAuthRules): Route[] {
  const paths = new Set([wellKnown, `${wellKnown}/mcp`, metadataUrl(rules.audience).pathname]);
  return [...paths].map((path) => ({
    path,
    methods: ['GET', 'HEAD'],
    isOpen: true,
    handle: async ({ response }) =>
      sendJson(response, 200, {
        resource: rules.audience,
        authorization_servers: [rules.issuer],
        scopes_supported: oauthScopes,
        bearer_methods_supported: ['header'],
        resource_name: 'ToolWeaver',
      }),
  }));
}

/** The WWW-Authenticate of a refusal (RFC 6750, section 3; RFC 9728, section 5.1). */
export function challengeFor(rules: OAuthRules | undefined): (error: WeaverError) => string {
  const where = rules
    ? [`resource_metadata="${metadataUrl(rules.audience)}"`, `scope="${oauthScopes.join(' ')}"`]
    : ['realm="toolweaver"'];
  return ({ code, details }) => {
    const isMissing = details?.reason === 'missing';
    const why = code === 'not_allowed' ? ['error="insufficient_scope"'] : isMissing ? [] : ['error="invalid_token"'];
    return `Bearer ${[...where, ...why].join(', ')}`;
  };
}

// RFC 9728, section 3.1: the well-known part stands between the host and the path of what it describes.
function metadataUrl(audience: string): URL {
  const { origin, pathname } = new URL(audience);
  return new URL(`${wellKnown}${pathname === '/' ? '' : pathname}`, origin);
}
