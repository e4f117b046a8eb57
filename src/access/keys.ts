import { randomBytes } from 'node:crypto';
import type { Database } from '../store/database.ts';

const keyBytes = 32;

/** The tenant's signing key of that name as 64 hex digits, made at first use; every process on the home gets the same. */
export async function signingKey(
  { read, write }: Pick<Database, 'read' | 'write'>,
  tenant: string,
  name: string,
): Promise<string> {
  const find = () =>
    read.selectFrom('keys').select('value').where('tenant', '=', tenant).where('name', '=', name).executeTakeFirst();
  const known = await find();
  if (known) return known.value;
  await write((trx) =>
    trx
      .insertInto('keys')
      .values({ tenant, name, value: randomBytes(keyBytes).toString('hex'), created_at: Date.now() })
      .onConflict((conflict) => conflict.doNothing())
      .execute(),
  );
  const made = await find();
  if (!made) throw new Error(`The key ${name} was written and is not there`);
  return made.value;
}
