import type { WeaverError } from '../errors.ts';
import type { Route } from './listener.ts';
import { type OAuthRules, oauthScopes } from './oauth.ts';
import { sendJson } from './problem.ts';

const wellKnown = '/.well-known/oauth-protected-resource';

/** Says which issuer's tokens are taken here (RFC 9728, section 3), at the root and for `/mcp`. */
export function metadataRoutes(publicUrl: () => string, rules: OAuthRules): Route[] {
  return [wellKnown, `${wellKnown}/mcp`].map((path) => ({
    path,
    isOpen: true,
    handle: async ({ response }) =>
      sendJson(response, 200, {
        resource: rules.audience,
        authorization_servers: [rules.issuer],
        scopes_supported: oauthScopes,
        bearer_methods_supported: ['header'],
        resource_name: 'ToolWeaver',
        resource_documentation: publicUrl(),
      }),
  }));
}

/** The WWW-Authenticate of a refusal (RFC 6750, section 3; RFC 9728, section 5.1). */
export function challengeFor(publicUrl: () => string, isOAuth: boolean): (error: WeaverError) => string {
  return ({ code, details }) => {
    const isMissing = details?.reason === 'missing';
    const parts = [
      ...(isOAuth
        ? [`resource_metadata="${publicUrl()}${wellKnown}/mcp"`, `scope="${oauthScopes.join(' ')}"`]
        : ['realm="toolweaver"']),
      ...(code === 'not_allowed' ? ['error="insufficient_scope"'] : isMissing ? [] : ['error="invalid_token"']),
    ];
    return `Bearer ${parts.join(', ')}`;
  };
}
