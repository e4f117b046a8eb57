import { userInfo } from 'node:os';
import type { Principal, PrincipalKind, Scope } from '../contracts.ts';

/** What each role may do. */
export const roles: Readonly<Record<string, readonly Scope[]>> = Object.freeze({
  viewer: ['read'],
  caller: ['read', 'call'],
  author: ['read', 'call', 'save'],
  reviewer: ['read', 'call', 'approve'],
  operator: ['read', 'call', 'operate'],
  admin: ['read', 'call', 'save', 'approve', 'operate', 'admin'],
});

/** The tenant of everything on a machine of one person. */
export const localTenant = 'local';

/** An agent of the local user: the principal of a stdio server. It may never approve. */
export function localAgent(): Principal {
  return createPrincipal(`agent:${userName()}`, 'agent', ['author']);
}

/** The local user in person: the principal of the command line. */
export function localPerson(): Principal {
  return createPrincipal(`person:${userName()}`, 'person', ['admin']);
}

/** A principal with the scopes of its roles; only a person ever has `approve`. */
export function createPrincipal(
  id: string,
  kind: PrincipalKind,
  roleNames: readonly string[],
  { tenant = localTenant, tools }: { tenant?: string; tools?: readonly string[] | undefined } = {},
): Principal {
  const scopes = new Set(roleNames.flatMap((role) => roles[role] ?? []));
  if (kind !== 'person') scopes.delete('approve');
  return Object.freeze({ id, tenant, kind, roles: [...roleNames], scopes: [...scopes], ...(tools && { tools }) });
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // A user id without a name, as in some containers: the number stands for it.
    return String(process.getuid?.() ?? 'user');
  }
}
