import type { IncomingMessage } from 'node:http';
import { localAgent } from '../access/principals.ts';
import { principalOf } from '../access/tokens.ts';
import type { Principal } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import type { Database } from '../store/database.ts';

/** Tells who a request comes from. @throws WeaverError `not_signed_in`, `not_allowed`. */
export type Authenticate = (request: IncomingMessage) => Promise<Principal>;

/** Everybody who reaches the server is the local user's agent. Only for addresses that only this machine reaches. */
export const authenticateNobody: Authenticate = async () => localAgent();

/** By tokens of `toolweaver token create`. */
export function authenticateByToken(database: Database): Authenticate {
  return async (request) => {
    const principal = await principalOf(database, bearerOf(request), Date.now());
    if (typeof principal !== 'string') return principal;
    throw new WeaverError('not_signed_in', `The token is ${principal}.`, {
      hint: 'toolweaver token create makes one; the one of the first start is in the file `token` of the home.',
    });
  };
}

/** The bearer token of a request (RFC 6750, section 2.1); never taken from the address, where logs would keep it. */
export function bearerOf({ headers }: IncomingMessage): string {
  const token = /^Bearer +([\w.~+/=-]+) *$/i.exec(headers.authorization ?? '')?.[1];
  if (token !== undefined) return token;
  throw new WeaverError('not_signed_in', 'The request has no bearer token.', {
    hint: 'Send the header authorization: Bearer TOKEN.',
    details: { reason: 'missing' },
  });
}
