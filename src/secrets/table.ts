import type { Principal } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import { canonicalJson } from '../json.ts';
import type { Database } from '../store/database.ts';
import type { Db, Tables } from '../store/tables.ts';
import { type Binding, checkBinding, checkName, checkValue } from './binding.ts';
import { decrypt, encrypt, type SecretKey } from './cipher.ts';
import type { Keyring } from './keyring.ts';

/** A secret as lists show it: everything but its value. `setAt` is in milliseconds since 1970. */
export interface SecretInfo extends Binding {
  name: string;
  setAt: number;
  setBy: string;
}

export interface SecretDraft {
  name: string;
  value: string;
  /** Those of the secret that it replaces where absent. */
  hosts?: readonly string[] | undefined;
  /** That of the secret that it replaces where absent, else `authorization`. */
  header?: string | undefined;
}

type Row = Tables['secrets'];
type Store = Pick<Database, 'read' | 'write'>;

/** The row of `keys` that names the key under which a tenant's secrets are. */
export const keyRow = 'secrets';

/**
 * Keeps a secret, in the place of one of the same name.
 * @throws WeaverError `bad_input`, `secret_unreadable` when this home lacks the key that the others are under,
 * `not_supported` for a key that cannot be used.
 */
export async function setSecret(
  { write }: Pick<Store, 'write'>,
  ring: Keyring,
  by: Principal,
  { name, value, hosts, header }: SecretDraft,
  now: number,
): Promise<SecretInfo> {
  checkName(name);
  checkValue(name, value);
  const { tenant } = by;
  // Keys are read inside, where no rotation can come in between.
  const row = await write(async (trx) => {
    const old = await find(trx, tenant, name);
    const binding = checkBinding({
      hosts: hosts ?? (old ? toInfo(old).hosts : []),
      header: header ?? old?.header ?? 'authorization',
    });
    const key = await currentKey(trx, ring, { tenant, name }, now);
    const made = { tenant, name, hosts: canonicalJson(binding.hosts), header: binding.header };
    const sealed = encrypt(key, value, contextOf(made));
    const whole: Row = { ...made, key: key.id, sealed, set_at: now, set_by: by.id };
    await trx
      .insertInto('secrets')
      .values(whole)
      .onConflict((conflict) => conflict.columns(['tenant', 'name']).doUpdateSet(whole))
      .execute();
    return whole;
  });
  return toInfo(row);
}

// All of a tenant's are under one key, so that a home which lacks it notices before it mixes in another.
async function currentKey(
  trx: Db,
  ring: Keyring,
  { tenant, name }: Pick<Row, 'tenant' | 'name'>,
  now: number,
): Promise<SecretKey> {
  const row = await trx
    .selectFrom('keys')
    .select('value')
    .where('tenant', '=', tenant)
    .where('name', '=', keyRow)
    .executeTakeFirst();
  const known = row && (await ring.keys()).find(({ id }) => id === row.value);
  if (known) return known;
  if (row && (await hasOthers(trx, tenant, name))) {
    throw new WeaverError(
      'secret_unreadable',
      `The secrets here are under the key ${row.value}, which this home lacks.`,
      { hint: `${bringBack}; without it they are lost: then toolweaver secret remove each, and set them anew.` },
    );
  }
  const [first] = await ring.ensure();
  await trx
    .insertInto('keys')
    .values({ tenant, name: keyRow, value: first.id, created_at: now })
    .onConflict((conflict) => conflict.columns(['tenant', 'name']).doUpdateSet({ value: first.id }))
    .execute();
  return first;
}

async function hasOthers(trx: Db, tenant: string, name: string): Promise<boolean> {
  const others = trx.selectFrom('secrets').select('name').where('tenant', '=', tenant).where('name', '!=', name);
  return (await others.limit(1).executeTakeFirst()) !== undefined;
}

const bringBack = 'Bring it back (secrets.key of a back-up or of another home, mode 0600, or TOOLWEAVER_KEY)';

/** All secrets of a tenant by name, without values. */
export async function listSecrets({ read }: Pick<Store, 'read'>, tenant: string): Promise<SecretInfo[]> {
  const rows = await read.selectFrom('secrets').selectAll().where('tenant', '=', tenant).orderBy('name').execute();
  return rows.map(toInfo);
}

/** @throws WeaverError `not_found`. */
export async function removeSecret({ write }: Pick<Store, 'write'>, tenant: string, name: string): Promise<SecretInfo> {
  const row = await write((trx) =>
    trx.deleteFrom('secrets').where('tenant', '=', tenant).where('name', '=', name).returningAll().executeTakeFirst(),
  );
  if (row) return toInfo(row);
  throw noSecret(name);
}

/**
 * A secret with its value, for the host process alone.
 * @throws WeaverError `not_found`, `secret_unreadable`, `not_supported` for a key that cannot be used.
 */
export async function openSecret(
  { read }: Pick<Store, 'read'>,
  ring: Keyring,
  tenant: string,
  name: string,
): Promise<SecretInfo & { value: string }> {
  const look = async () => ({ row: await find(read, tenant, name), keys: await ring.keys() });
  const first = await look();
  // A rotation may have come in between, and taken the key that the row named.
  const isWhole = !first.row || first.keys.some(({ id }) => id === first.row?.key);
  const { row, keys } = isWhole ? first : await look();
  if (!row) throw noSecret(name);
  return { ...toInfo(row), value: openRow(row, keys) };
}

/** The value of a row. @throws WeaverError `secret_unreadable`. */
export function openRow(row: Row, keys: readonly SecretKey[]): string {
  const again = `toolweaver secret remove ${row.name}, and set it anew.`;
  const key = keys.find(({ id }) => id === row.key);
  if (!key) {
    throw new WeaverError('secret_unreadable', `${row.name} is under the key ${row.key}, which this home lacks.`, {
      hint: `${bringBack}; without it the value is lost: then ${again}`,
    });
  }
  const value = decrypt(key, row.sealed, contextOf(row));
  if (value !== undefined) return value;
  throw new WeaverError('secret_unreadable', `${row.name} was changed in the database by something else.`, {
    hint: `Its value, hosts and header belong together: ${again}`,
  });
}

/** What a value is bound to: who writes to the database can neither send it elsewhere nor give it to another tenant. */
export const contextOf = ({ tenant, name, hosts, header }: Pick<Row, 'tenant' | 'name' | 'hosts' | 'header'>): string =>
  canonicalJson({ tenant, name, hosts, header });

const find = (db: Db, tenant: string, name: string): Promise<Row | undefined> =>
  db.selectFrom('secrets').selectAll().where('tenant', '=', tenant).where('name', '=', name).executeTakeFirst();

const noSecret = (name: string): WeaverError =>
  new WeaverError('not_found', `There is no secret ${JSON.stringify(name.slice(0, 80))}.`, {
    hint: 'toolweaver secret list shows them; toolweaver secret set makes one.',
  });

const toInfo = ({ name, hosts, header, set_at, set_by }: Row): SecretInfo => ({
  name,
  hosts: JSON.parse(hosts),
  header,
  setAt: set_at,
  setBy: set_by,
});
