import { randomBytes } from 'node:crypto';
import type { Principal, PrincipalKind } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import { sha256 } from '../json.ts';
import type { Database } from '../store/database.ts';
import type { Tables } from '../store/tables.ts';
import { createPrincipal, roles } from './principals.ts';

const prefix = 'twk_';
const tokenBytes = 32;
const namePattern = /^[a-z0-9][a-z0-9._-]{0,40}$/;

/** A token as lists show it: everything but the token. Times are milliseconds since 1970. */
export interface TokenInfo {
  id: string;
  principal: string;
  kind: PrincipalKind;
  roles: string[];
  tools?: string[];
  createdAt: number;
  createdBy: string;
  expiresAt?: number;
  revokedAt?: number;
}

export interface TokenRequest {
  /** Who will hold it: `ci` becomes the principal `agent:ci`. */
  name: string;
  kind: PrincipalKind;
  roles: string[];
  /** Names of tools with `*`; all where absent. */
  tools?: string[] | undefined;
  expiresAt?: number | undefined;
}

/**
 * Makes a token and gives it, this once.
 * @throws WeaverError `bad_input` for an unknown role, a bad name or an end in the past.
 */
export async function createToken(
  { write }: Pick<Database, 'write'>,
  by: Principal,
  request: TokenRequest,
  now: number,
): Promise<{ token: string; info: TokenInfo }> {
  const problem = problemOf(request, now);
  if (problem) throw new WeaverError('bad_input', problem.message, { hint: problem.hint });
  const token = prefix + randomBytes(tokenBytes).toString('base64url');
  const row: Tables['tokens'] = {
    tenant: by.tenant,
    id: randomBytes(6).toString('hex'),
    hash: sha256(token),
    principal: `${request.kind}:${request.name}`,
    kind: request.kind,
    roles: JSON.stringify(request.roles),
    tools: request.tools ? JSON.stringify(request.tools) : null,
    created_at: now,
    created_by: by.id,
    expires_at: request.expiresAt ?? null,
    revoked_at: null,
  };
  await write((trx) => trx.insertInto('tokens').values(row).execute());
  return { token, info: toInfo(row) };
}

function problemOf({ name, roles: names, expiresAt, kind }: TokenRequest, now: number) {
  if (!namePattern.test(name)) {
    return {
      message: `${JSON.stringify(name.slice(0, 50))} is no name for a token.`,
      hint: 'Use letters, digits, dots and dashes, such as ci.',
    };
  }
  const unknown = names.filter((role) => !Object.hasOwn(roles, role));
  if (unknown.length > 0 || names.length === 0) {
    return {
      message: `There is no role ${JSON.stringify(unknown.join(', '))}.`,
      hint: `Roles: ${Object.keys(roles).join(', ')}.`,
    };
  }
  if (kind !== 'person' && names.includes('reviewer')) {
    return {
      message: `Only a person can be a reviewer, not the ${kind} ${name}.`,
      hint: 'Make a token with --kind person, and give it to that person alone.',
    };
  }
  if (expiresAt !== undefined && expiresAt <= now) {
    return { message: 'The token would have expired already.', hint: 'Give a later end, such as --expires 90d.' };
  }
  return undefined;
}

/** Who a token stands for, or why it stands for nobody. */
export async function principalOf(
  { read }: Pick<Database, 'read'>,
  token: string,
  now: number,
): Promise<Principal | 'unknown' | 'expired' | 'revoked'> {
  if (!token.startsWith(prefix)) return 'unknown';
  const row = await read.selectFrom('tokens').selectAll().where('hash', '=', sha256(token)).executeTakeFirst();
  if (!row) return 'unknown';
  if (row.revoked_at !== null) return 'revoked';
  if (row.expires_at !== null && row.expires_at <= now) return 'expired';
  const { principal, kind, roles: names, tools } = toInfo(row);
  return createPrincipal(principal, kind, names, { tenant: row.tenant, tools });
}

/** All tokens of a tenant, newest first. */
export async function listTokens({ read }: Pick<Database, 'read'>, tenant: string): Promise<TokenInfo[]> {
  const rows = await read
    .selectFrom('tokens')
    .selectAll()
    .where('tenant', '=', tenant)
    .orderBy('created_at', 'desc')
    .orderBy('id')
    .execute();
  return rows.map(toInfo);
}

/** @throws WeaverError `not_found`. */
export async function revokeToken(
  { write }: Pick<Database, 'write'>,
  tenant: string,
  id: string,
  now: number,
): Promise<TokenInfo> {
  const row = await write((trx) =>
    trx
      .updateTable('tokens')
      .set((eb) => ({ revoked_at: eb.fn.coalesce('revoked_at', eb.val(now)) }))
      .where('tenant', '=', tenant)
      .where('id', '=', id)
      .returningAll()
      .executeTakeFirst(),
  );
  if (row) return toInfo(row);
  throw new WeaverError('not_found', `There is no token ${JSON.stringify(id)}.`, {
    hint: 'toolweaver token list shows them.',
  });
}

const toInfo = (row: Tables['tokens']): TokenInfo => ({
  id: row.id,
  principal: row.principal,
  kind: row.kind as PrincipalKind,
  roles: JSON.parse(row.roles),
  ...(row.tools !== null && { tools: JSON.parse(row.tools) }),
  createdAt: row.created_at,
  createdBy: row.created_by,
  ...(row.expires_at !== null && { expiresAt: row.expires_at }),
  ...(row.revoked_at !== null && { revokedAt: row.revoked_at }),
});
