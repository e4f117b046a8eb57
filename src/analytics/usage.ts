import type { Db } from '../store/tables.ts';

/** Names of the saved tools called with success most often since `since`, most used first. */
export async function mostUsed(db: Db, tenant: string, since: number, limit: number): Promise<string[]> {
  const rows = await db
    .selectFrom('calls')
    .select('tool')
    .where('tenant', '=', tenant)
    .where('at', '>=', since)
    .where('code', '=', 'done')
    .where('kind', 'not in', ['builtin', 'request'])
    .groupBy('tool')
    .orderBy((eb) => eb.fn.countAll(), 'desc')
    .orderBy('tool')
    .limit(limit)
    .execute();
  return rows.map((row) => row.tool);
}
