import { sql } from 'kysely';
import type { Db } from './tables.ts';

/** Raises the tenant's generation, inside the transaction that changes the catalog, and gives the new value. */
export async function raiseGeneration(trx: Db, tenant: string): Promise<number> {
  const row = await trx
    .insertInto('generation')
    .values({ tenant, value: 1 })
    .onConflict((conflict) => conflict.column('tenant').doUpdateSet({ value: sql<number>`generation.value + 1` }))
    .returning('value')
    .executeTakeFirstOrThrow();
  return Number(row.value);
}
