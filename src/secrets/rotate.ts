import { WeaverError } from '../errors.ts';
import type { Database } from '../store/database.ts';
import type { Db } from '../store/tables.ts';
import { encrypt, type SecretKey } from './cipher.ts';
import type { Keyring } from './keyring.ts';
import { contextOf, keyRow, openRow } from './table.ts';

/** What else is under the keys of secrets. */
export interface SealedRows {
  keysInUse(trx: Db): Promise<string[]>;
  /** Puts under `key` what is under another of `keys`. */
  reseal(trx: Db, keys: readonly SecretKey[], key: SecretKey): Promise<void>;
}

/**
 * Encrypts every secret of every tenant, and what else is sealed, under the newest key, in one transaction, and then
 * forgets the keys that nothing needs any more. What ends in between leaves all secrets readable, and the next rotation goes on.
 * @throws WeaverError `secret_unreadable` when one does not open; then nothing is changed.
 */
export async function rotateSecrets(
  { write }: Pick<Database, 'write'>,
  ring: Keyring,
  others: readonly SealedRows[] = [],
): Promise<{ count: number; key: string }> {
  const rotated = await write(async (trx) => {
    const used = await lock(trx);
    const keys = await ring.ensure();
    const elsewhere = await keysOf(trx, others);
    // A key that this home lacks, and that only others are under, is another home's.
    for (const { id } of keys) if (elsewhere.includes(id)) used.add(id);
    const key = await newestKey(ring, keys, used);
    for (const other of others) await other.reseal(trx, keys, key);
    const rows = await trx.selectFrom('secrets').selectAll().execute();
    for (const row of rows) {
      const sealed = encrypt(key, openRow(row, [...keys, key]), contextOf(row));
      const isRow = { tenant: row.tenant, name: row.name };
      await trx
        .updateTable('secrets')
        .set({ key: key.id, sealed })
        .where((eb) => eb.and(isRow))
        .execute();
    }
    await trx.updateTable('keys').set({ value: key.id }).where('name', '=', keyRow).execute();
    return { count: rows.length, key: key.id };
  });
  await write(async (trx) => {
    const used = await lock(trx);
    const rows = await trx.selectFrom('secrets').select('key').distinct().execute();
    const elsewhere = await keysOf(trx, others);
    await ring.keep?.(new Set([rotated.key, ...used, ...rows.map(({ key }) => key), ...elsewhere]));
  });
  return rotated;
}

const keysOf = async (trx: Db, others: readonly SealedRows[]): Promise<string[]> =>
  (await Promise.all(others.map((other) => other.keysInUse(trx)))).flat();

// One rotation after the other: the keys in the file are changed by one that has this row, or by none.
async function lock(trx: Db): Promise<Set<string>> {
  const rows = await trx
    .updateTable('keys')
    .set((eb) => ({ value: eb.ref('value') }))
    .where('name', '=', keyRow)
    .returning('value')
    .execute();
  return new Set(rows.map(({ value }) => value));
}

// One that stands first and that nothing is under was made by a rotation that came no further.
async function newestKey(
  ring: Keyring,
  keys: readonly [SecretKey, ...SecretKey[]],
  used: ReadonlySet<string>,
): Promise<SecretKey> {
  const [first] = keys;
  if (!used.has(first.id)) return first;
  if (ring.add) return ring.add();
  // Some may still be under an older one.
  if (used.size > 1) return first;
  throw new WeaverError('bad_input', `${ring.place} holds no newer key than the one in use.`, {
    hint: `Put a new one in front of it, separated by a comma, and run this again: ${ring.place}=NEW,OLD. Make one with: openssl rand -hex 32`,
  });
}
