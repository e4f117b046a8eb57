import { WeaverError } from '../errors.ts';
import { isRecord, sha256 } from '../json.ts';
import type { Keyring } from '../secrets/keyring.ts';
import { createMask, type Masked } from '../secrets/mask.ts';
import { listSecrets, openSecret } from '../secrets/table.ts';
import type { Database } from '../store/database.ts';
import { findCredentials } from '../text/credentials.ts';

const shownCharacters = 200;

/** Makes a JSON value fit to be shown. */
export type Redact = (value: unknown) => unknown;

/**
 * Masks the secrets of a tenant in what was recorded; unless it is to be shown whole, also withholds texts that look like
 * credentials and cuts long ones. Texts that differ in what is cut still differ.
 */
export async function createRedact(
  database: Pick<Database, 'read'>,
  ring: Keyring,
  tenant: string,
  { isWhole }: { isWhole: boolean },
): Promise<Redact> {
  const mask = createMask(await knownSecrets(database, ring, tenant));
  return (value) => (isWhole ? mask.json(value) : shorten(mask.json(value)));
}

async function knownSecrets(database: Pick<Database, 'read'>, ring: Keyring, tenant: string): Promise<Masked[]> {
  const known: Masked[] = [];
  for (const { name } of await listSecrets(database, tenant)) {
    try {
      known.push({ name, value: (await openSecret(database, ring, tenant, name)).value });
    } catch (error) {
      // One that nobody here can open was in no request of this home either.
      if (!(error instanceof WeaverError)) throw error;
    }
  }
  return known;
}

function shorten(value: unknown): unknown {
  if (typeof value === 'string') return shortened(value);
  if (Array.isArray(value)) return value.map(shorten);
  if (!isRecord(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [shortened(key), shorten(one)]));
}

function shortened(text: string): string {
  const [credential] = findCredentials(text);
  if (credential) return `[withheld: looks like ${credential.what}]`;
  if (text.length <= shownCharacters) return text;
  return `${text.slice(0, shownCharacters)}… (${text.length} characters, sha256 ${sha256(text).slice(0, 12)})`;
}
