import { sql } from 'kysely';
import type { Progress } from '../contracts.ts';
import type { Db } from '../store/tables.ts';
import { type Run, type RunKey, toRun } from './table.ts';

/** A run as another process may have it under way. */
export interface HeldLease extends RunKey {
  tool: string;
  holder: string | null;
  /** 0 when its holder has handed it back. */
  leaseUntil: number;
}

/** Moves on the leases of runs, with how far they are; gives those that have ended, or are not their holder's any more. */
export async function renewLease(
  trx: Db,
  runs: readonly (RunKey & { holder: string; progress?: Progress | undefined })[],
  leaseUntil: number,
): Promise<Set<string>> {
  const gone = new Set<string>();
  // Another value each time, also where the clock stands or was set back: that is how others see that it moves.
  const moved = sql<number>`case when lease_until >= ${leaseUntil} then lease_until + 1 else ${leaseUntil} end`;
  for (const { tenant, id, holder, progress } of runs) {
    const { numUpdatedRows } = await trx
      .updateTable('runs')
      .set({ lease_until: moved, ...(progress && { progress: JSON.stringify(progress) }) })
      .where('tenant', '=', tenant)
      .where('id', '=', id)
      .where('state', '=', 'running')
      .where('holder', '=', holder)
      .executeTakeFirst();
    if (Number(numUpdatedRows) === 0) gone.add(id);
  }
  return gone;
}

/** Lets runs go that their holders do not end, so that another process goes on with them at once. */
export async function handBack(trx: Db, runs: readonly (RunKey & { holder: string })[]): Promise<void> {
  for (const { tenant, id, holder } of runs) {
    await trx
      .updateTable('runs')
      .set({ lease_until: 0, holder: null })
      .where('tenant', '=', tenant)
      .where('id', '=', id)
      .where('state', '=', 'running')
      .where('holder', '=', holder)
      .execute();
  }
}

/** Every run that some process has under way, of all tenants. */
export async function runsUnderWay(db: Db): Promise<HeldLease[]> {
  const rows = await db
    .selectFrom('runs')
    .select(['tenant', 'id', 'tool', 'holder', 'lease_until'])
    .where('state', '=', 'running')
    .orderBy('created_at')
    .execute();
  return rows.map(({ lease_until, ...row }) => ({ ...row, leaseUntil: lease_until ?? 0 }));
}

/** Takes a run over from a holder that was found lost; false when that was renewed, or another process was first. */
export async function takeRun(trx: Db, seen: HeldLease, by: { holder: string; leaseUntil: number }): Promise<boolean> {
  const { numUpdatedRows } = await trx
    .updateTable('runs')
    .set({ holder: by.holder, lease_until: by.leaseUntil, takes: sql<number>`coalesce(takes, 0) + 1` })
    .where('tenant', '=', seen.tenant)
    .where('id', '=', seen.id)
    .where('state', '=', 'running')
    .where('holder', seen.holder === null ? 'is' : '=', seen.holder)
    .where(sql<boolean>`coalesce(lease_until, 0) = ${seen.leaseUntil}`)
    .executeTakeFirst();
  return Number(numUpdatedRows) > 0;
}

/** A run that was taken over, and how often that happened; undefined when it is not this holder's. */
export async function findTaken(
  db: Db,
  { tenant, id }: RunKey,
  holder: string,
  now: number,
): Promise<{ run: Run; takes: number } | undefined> {
  const row = await db
    .selectFrom('runs')
    .selectAll()
    .where('tenant', '=', tenant)
    .where('id', '=', id)
    .where('state', '=', 'running')
    .where('holder', '=', holder)
    .executeTakeFirst();
  return row && { run: toRun(row, now, undefined), takes: row.takes ?? 0 };
}
