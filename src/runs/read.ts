import type { Principal } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import type { Database } from '../store/database.ts';
import { endRun, findRun, insertRun, newRunId, type Run, retentionMs } from './table.ts';

type Store = Pick<Database, 'read' | 'write'>;

/** Keeps the value of a plain call that is done, and gives the id under which its caller can page through it. */
export async function keepResult(
  { write }: Store,
  result: { principal: Principal; tool: string; version?: string | undefined; input: unknown; value: unknown },
  now: number,
): Promise<string> {
  const { principal, tool, version, input, value } = result;
  const id = newRunId();
  const request = { input, principal, via: 'mcp' as const };
  const run = { id, tool, version, request, state: 'done' as const, value, expiresAt: now + retentionMs.plain };
  await write((trx) => insertRun(trx, run, now));
  return id;
}

/**
 * A run that the principal may see: its own; a person sees all of the tenant.
 * @throws WeaverError `not_found` when there is none, it has expired, or it is somebody else's.
 */
export async function getRun({ read }: Store, principal: Principal, id: string, now: number): Promise<Run> {
  const run = await findRun(read, { tenant: principal.tenant, id }, now);
  if (run && (run.principal === principal.id || principal.kind === 'person')) return run;
  throw new WeaverError('not_found', `There is no run ${JSON.stringify(id.slice(0, 60))}.`, {
    hint: 'Large results are kept for an hour, other runs for 30 days; list_runs shows them. Call the tool again.',
  });
}

/**
 * Ends a run that is under way or asks; the process that runs it stops it within a second or two.
 * @throws WeaverError `not_found`, `conflict` when it has ended already.
 */
export async function cancelRun(store: Store, principal: Principal, id: string, now: number): Promise<Run> {
  const run = await getRun(store, principal, id, now);
  const error = new WeaverError('cancelled', `${run.tool} was cancelled by ${principal.id}.`);
  const end = { state: 'cancelled' as const, outcome: error.toJSON(), expiresAt: now + retentionMs.kept };
  const isEnded =
    isUnderWay(run) && (await store.write((trx) => endRun(trx, { tenant: principal.tenant, id }, end, now)));
  const ended = await getRun(store, principal, id, now);
  if (isEnded) return ended;
  throw new WeaverError('conflict', `Run ${id} has ended already: ${ended.state}.`, {
    hint: 'get_run shows its outcome.',
  });
}

const isUnderWay = ({ state }: Run): boolean => state === 'running' || state === 'asks';
