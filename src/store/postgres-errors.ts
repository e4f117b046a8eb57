import { WeaverError } from '../errors.ts';

const codeOf = (error: unknown): string => String((error as { code?: unknown } | null)?.code ?? '');
const messageOf = (error: unknown): string => String((error as { message?: unknown } | null)?.message ?? '');

const keyTaken = '23505';
const conflicts = new Set(['40001', '40P01', '42P07', keyTaken]);

/** Serialisation failure, deadlock, or a key or table that another transaction has just made: what is then there decides anew. */
export const isConflict = (error: unknown): boolean => conflicts.has(codeOf(error));

/** A key that was there already; again and again, where it is no race. */
export const isKeyTaken = (error: unknown): boolean => codeOf(error) === keyTaken;

/** It neither answers nor breaks off; asking again would only wait again. */
export const isSilent = (error: unknown): boolean => /timeout/i.test(messageOf(error)) && codeOf(error) === '';

/** A connection that is of no use any more: the server restarts, or the network broke off. */
export const isBroken = (error: unknown): boolean =>
  isSilent(error) ||
  /^(08|57P)/.test(codeOf(error)) ||
  /^E[A-Z]+$/.test(codeOf(error)) ||
  /terminated|not queryable|Connection ended/i.test(messageOf(error));

/** True where doing the same again in a moment can work, and nothing had been kept. */
export const isPassing = (error: unknown): boolean =>
  isBroken(error) && !isSilent(error) && codeOf(error) !== 'ENOTFOUND';

const isUnusable = (error: unknown): boolean => isBroken(error) || /^(28|3D|53|58|25006|42501)/.test(codeOf(error));

const isBusy = (error: unknown): boolean =>
  isConflict(error) ||
  ['55P03', '57014', '53300'].includes(codeOf(error)) ||
  /timeout exceeded when trying to connect/.test(messageOf(error));

/** Names what a person can do about an error of PostgreSQL; anything unforeseen passes through. Never holds the address's password. */
export function explainPostgres(error: unknown, place: string): unknown {
  const code = codeOf(error);
  if (error instanceof WeaverError) return error;
  if (isBusy(error)) {
    return new WeaverError('busy', `${place} is too busy: ${reasons[code] ?? 'no connection was free in time'}.`, {
      hint: 'Try again in a moment.',
      cause: error,
    });
  }
  if (!isUnusable(error)) return error;
  const reason = reasons[code] ?? (isSilent(error) ? 'it does not answer' : code || 'the connection broke');
  return new WeaverError('database_unavailable', `${place} cannot be used: ${reason}.`, {
    hint: 'Check that the server runs, and DATABASE_URL: name, user, password, rights. Nothing was saved half.',
    cause: error,
  });
}

const reasons: Readonly<Record<string, string>> = {
  '40001': 'other changes kept getting in the way',
  '40P01': 'other changes kept getting in the way',
  '23505': 'other changes kept getting in the way',
  '57014': 'a statement took too long',
  '53300': 'it takes no more connections',
  '53100': 'its disk is full',
  '28P01': 'the password is wrong',
  '28000': 'the user may not log in',
  '3D000': 'there is no such database',
  '42501': 'the user may not do that',
  '25006': 'it is read-only',
  '57P01': 'it was shut down',
  '57P02': 'it crashed',
  '57P03': 'it is starting or stopping',
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'there is no such host',
  ECONNRESET: 'the connection broke',
  EPIPE: 'the connection broke',
  ETIMEDOUT: 'it does not answer',
};

/** The address as messages may show it. */
export function placeOf(address: string): string {
  // A socket's folder stands in the query, where addresses with a user but no host are none to WHATWG.
  if (!URL.canParse(address)) return 'PostgreSQL';
  const { protocol, hostname, port, pathname } = new URL(address);
  return `${protocol}//${hostname}${port === '' ? '' : `:${port}`}${pathname}`;
}
