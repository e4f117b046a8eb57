import { randomBytes } from 'node:crypto';
import type { Principal } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import type { Database } from '../store/database.ts';

/** How long the result of a plain call that was too large is kept. */
export const plainResultMs = 3_600_000;

export interface KeptRun {
  id: string;
  tool: string;
  version?: string;
  state: 'done';
  value: unknown;
  createdAt: number;
  expiresAt: number;
}

/** Keeps the value of a call that is done, and gives the id under which its caller can page through it. */
export async function keepResult(
  database: Database,
  {
    principal,
    tool,
    version,
    value,
  }: { principal: Principal; tool: string; version?: string | undefined; value: unknown },
  now: number,
): Promise<string> {
  const id = `run_${randomBytes(9).toString('base64url')}`;
  await database.write(async (trx) => {
    await trx.deleteFrom('runs').where('expires_at', '<', now).execute();
    await trx
      .insertInto('runs')
      .values({
        tenant: principal.tenant,
        id,
        tool,
        version: version ?? null,
        principal: principal.id,
        state: 'done',
        outcome: JSON.stringify(value),
        created_at: now,
        expires_at: now + plainResultMs,
      })
      .execute();
  });
  return id;
}

/**
 * A kept run of this principal (a person sees all runs of the tenant).
 * @throws WeaverError `not_found` when there is none, it has expired, or it is somebody else's.
 */
export async function getKept(database: Database, principal: Principal, id: string, now: number): Promise<KeptRun> {
  const row = await database.read
    .selectFrom('runs')
    .selectAll()
    .where('tenant', '=', principal.tenant)
    .where('id', '=', id)
    .where('expires_at', '>=', now)
    .executeTakeFirst();
  if (!row || (row.principal !== principal.id && principal.kind !== 'person')) {
    throw new WeaverError('not_found', `There is no run ${JSON.stringify(id)}.`, {
      hint: 'Large results are kept for an hour. Call the tool again.',
    });
  }
  return {
    id,
    tool: row.tool,
    ...(row.version !== null && { version: row.version }),
    state: 'done',
    value: JSON.parse(row.outcome),
    createdAt: row.created_at,
    expiresAt: row.expires_at,
  };
}
