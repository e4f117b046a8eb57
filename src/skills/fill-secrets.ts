import type { SecretCapability } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import { hostOf, matchesHost, placeOf } from '../net/rules.ts';
import type { Binding } from '../secrets/binding.ts';

/** A secret with its value and where it may go. */
export interface OpenedSecret extends Binding {
  value: string;
}

interface Filled {
  /** Headers without secrets. */
  headers: Record<string, string>;
  /** Headers with their secrets in place. */
  credentials: Record<string, string>;
  /** Names of the secrets that were filled in. */
  secrets: string[];
}

const placeholder = /\{\{\s*secret:([^{}]*)\}\}/g;

/** True for text that asks for a secret. */
export const asksForSecret = (text: string): boolean => /\{\{\s*secret:/.test(text);

/**
 * Puts secrets into the headers that ask for one by `{{secret:NAME}}`. Each goes only where the capabilities of the code
 * and the secret's own binding both let it: to that host, in that header, over https.
 * @throws WeaverError `not_allowed`, whatever `open` throws.
 */
export async function fillSecrets(
  url: URL,
  given: Readonly<Record<string, string>>,
  grants: readonly SecretCapability[],
  open: (name: string) => Promise<OpenedSecret>,
): Promise<Filled> {
  const filled: Filled = { headers: {}, credentials: {}, secrets: [] };
  for (const [header, text] of Object.entries(given)) {
    if (!asksForSecret(text)) {
      filled.headers[header] = text;
      continue;
    }
    const names = [...new Set([...text.matchAll(placeholder)].map(([, name = '']) => name.trim()))];
    const values = new Map<string, string>();
    for (const name of names) {
      checkGrant(name, header, url, grants);
      const secret = await open(name);
      checkBound(name, header, url, secret);
      values.set(name, secret.value);
    }
    const whole = text.replace(placeholder, (_, name: string) => values.get(name.trim()) ?? '');
    if (asksForSecret(whole)) throw refuse(`The header ${header} asks for a secret in a form that is none.`);
    filled.credentials[header] = whole;
    filled.secrets.push(...names);
  }
  return filled;
}

function checkGrant(name: string, header: string, url: URL, grants: readonly SecretCapability[]): void {
  const own = grants.filter((grant) => grant.name === name);
  if (own.length === 0) throw refuse(`This code was not granted the secret ${quoted(name)}.`);
  const fits = own.some((grant) => isHeader(grant.header, header) && matchesHost(grant.host, hostOf(url)));
  if (!fits) throw refuse(`${name} was not granted to this code for ${hostOf(url)} in the header ${header}.`);
  if (url.protocol !== 'https:') throw refuse(`${name} goes over https only, not to ${url.protocol}//${placeOf(url)}.`);
}

function checkBound(name: string, header: string, url: URL, { hosts, header: bound }: Binding): void {
  if (hosts.includes(placeOf(url)) && isHeader(bound, header)) return;
  throw new WeaverError('not_allowed', `${name} is not bound to ${placeOf(url)} in the header ${header}.`, {
    hint: `Whoever keeps it can bind it anew: toolweaver secret set ${name} --host ${placeOf(url)} --header ${header.toLowerCase()}`,
  });
}

const isHeader = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();

const quoted = (name: string): string => JSON.stringify(name.slice(0, 80));

const refuse = (message: string): WeaverError =>
  new WeaverError('not_allowed', message, {
    hint: 'capabilities.secrets names each secret with its host and header; a header asks for it by {{secret:NAME}}.',
  });
