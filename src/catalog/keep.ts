import { setTimeout as sleep } from 'node:timers/promises';
import type { CallRequest, Outcome, Progress } from '../contracts.ts';
import { type ErrorCode, WeaverError } from '../errors.ts';
import { canonicalJson, sha256 } from '../json.ts';
import type { Log } from '../log.ts';
import { leaseMs, type RunKeeper } from '../runs/keeper.ts';
import {
  endRun,
  findByKey,
  findRun,
  insertQuestion,
  insertRun,
  moveRun,
  type NewRun,
  type Run,
  retentionMs,
} from '../runs/table.ts';
import type { Database } from '../store/database.ts';
import type { Tool } from './tool.ts';

const twinPollMs = 100;

export interface KeepParts {
  database: Database;
  keeper: RunKeeper;
  log: Log;
}

/** A call that is about to run. `work` never throws, and ends soon after `signal` fires. */
export interface KeepableCall {
  tool: Tool;
  request: CallRequest;
  runId: string;
  work(signal: AbortSignal, progress: (progress: Progress) => void): Promise<Outcome>;
}

/**
 * Runs a call and keeps of it what must be kept: its outcome under an idempotency key, a run that goes on in the
 * background, a run that asks. A plain call is kept nowhere and costs nothing here.
 * @throws WeaverError `conflict` for a key that stands for another input, and those of the database.
 */
export async function keepCall(parts: KeepParts, call: KeepableCall): Promise<Outcome> {
  const twin = await claimKey(parts, call);
  if (twin) return waitForTwin(parts, call, twin);
  const { request } = call;
  const isKept = request.idempotencyKey !== undefined || request.resume !== undefined;
  const kept = new KeptCall(parts, call, isKept);
  if (request.backgroundAfterMs === undefined) return kept.finish();
  return kept.finishOrHandOver(request.backgroundAfterMs);
}

class KeptCall {
  readonly #parts: KeepParts;
  readonly #call: KeepableCall;
  readonly #stop = new AbortController();
  readonly #onAbort = () => this.#stop.abort();
  readonly #work: Promise<Outcome>;
  #isKept: boolean;
  #handedOver: Promise<boolean> | undefined;
  #retentionMs: number = retentionMs.plain;

  constructor(parts: KeepParts, call: KeepableCall, isKept: boolean) {
    this.#parts = parts;
    this.#call = call;
    this.#isKept = isKept;
    const { signal, progress } = call.request;
    signal.addEventListener('abort', this.#onAbort, { once: true });
    if (signal.aborted) this.#stop.abort();
    const held = { ...this.#key(), cancel: () => this.#stop.abort(), progress: undefined as Progress | undefined };
    if (isKept) parts.keeper.hold(held);
    this.#held = held;
    this.#work = call.work(this.#stop.signal, (now) => {
      held.progress = now;
      progress?.(now);
    });
  }

  readonly #held: Parameters<RunKeeper['hold']>[0];

  #key = () => ({ tenant: this.#call.request.principal.tenant, id: this.#call.runId });

  /** Waits for the outcome, and keeps it where it is to be kept. */
  async finish(): Promise<Outcome> {
    const outcome = await this.#work;
    this.#call.request.signal.removeEventListener('abort', this.#onAbort);
    await this.#handedOver;
    if (outcome.status === 'asks') return this.#keepQuestion(outcome);
    if (this.#isKept) await this.#keepEnd(outcome);
    return outcome;
  }

  /** The outcome, or after so many milliseconds the run that goes on without the caller. */
  async finishOrHandOver(afterMs: number): Promise<Outcome> {
    const finished = this.finish();
    const timer = new AbortController();
    const late = sleep(afterMs, 'late' as const, { signal: timer.signal }).catch(() => 'late' as const);
    const first = await Promise.race([finished, late]).finally(() => timer.abort());
    if (first !== 'late') return first;
    this.#handedOver = this.#handOver();
    if (!(await this.#handedOver)) return finished;
    finished.catch((error: unknown) =>
      this.#parts.log.warn({ error, run: this.#call.runId }, 'a run could not be kept'),
    );
    return { status: 'running', runId: this.#call.runId };
  }

  // From here on the caller's signal does not end the run: cancel_run and the deadline do.
  async #handOver(): Promise<boolean> {
    this.#retentionMs = retentionMs.kept;
    try {
      if (!this.#isKept) await this.#parts.database.write((trx) => insertRun(trx, this.#row('running'), Date.now()));
    } catch (error) {
      this.#parts.log.warn({ error }, 'a long call could not go on in the background; its caller waits');
      return false;
    }
    this.#call.request.signal.removeEventListener('abort', this.#onAbort);
    this.#parts.keeper.hold(this.#held);
    this.#isKept = true;
    return true;
  }

  async #keepQuestion(outcome: Extract<Outcome, { status: 'asks' }>): Promise<Outcome> {
    const { database, keeper } = this.#parts;
    const { tenant, id } = this.#key();
    const now = Date.now();
    keeper.release(id);
    await database.write(async (trx) => {
      if (this.#isKept) await moveRun(trx, tenant, id, 'running', 'asks', null, now);
      else await insertRun(trx, this.#row('asks'), now);
      await insertQuestion(trx, tenant, id, outcome.question, now);
    });
    return { ...outcome, runId: id };
  }

  async #keepEnd(outcome: Outcome): Promise<void> {
    const { database, keeper, log } = this.#parts;
    const { tenant, id } = this.#key();
    const now = Date.now();
    keeper.release(id);
    try {
      await database.write((trx) =>
        endRun(trx, tenant, id, { ...endOf(outcome), expiresAt: now + this.#retentionMs }, now),
      );
    } catch (error) {
      // The caller has the outcome all the same; only who asks for the run later will not.
      log.warn({ error, run: id }, 'the outcome of a run could not be kept');
    }
  }

  #row(state: 'running' | 'asks'): NewRun {
    return newRun(this.#call, state, retentionMs.kept);
  }
}

function newRun({ tool, request, runId }: KeepableCall, state: 'running' | 'asks', keepMs: number): NewRun {
  const { input, principal, via } = request;
  const now = Date.now();
  return {
    id: runId,
    tool: tool.name,
    version: tool.version,
    request: { input, principal, via },
    state,
    ...(state === 'running' && { leaseUntil: now + leaseMs }),
    expiresAt: now + keepMs,
  };
}

function endOf(outcome: Outcome): { state: 'done' | 'failed' | 'cancelled'; outcome: unknown } {
  if (outcome.status === 'done') return { state: 'done', outcome: outcome.value };
  if (outcome.status !== 'failed') return { state: 'failed', outcome: null };
  return { state: outcome.error.code === 'cancelled' ? 'cancelled' : 'failed', outcome: outcome.error.toJSON() };
}

/** Takes the key for this call; gives the run that has it already. */
async function claimKey({ database }: KeepParts, call: KeepableCall): Promise<Run | undefined> {
  const { idempotencyKey, principal, input, resume } = call.request;
  if (idempotencyKey === undefined || resume) return undefined;
  const inputHash = sha256(canonicalJson({ tool: call.tool.name, input }));
  const row = { ...newRun(call, 'running', retentionMs.plain), key: { idempotencyKey, inputHash } };
  const isFirst = await database.write((trx) => insertRun(trx, row, Date.now()));
  if (isFirst) return undefined;
  const twin = await findByKey(database.read, principal, idempotencyKey, Date.now());
  if (twin?.inputHash === inputHash) return twin.run;
  throw new WeaverError('conflict', 'The idempotency key was used for another call.', {
    hint: 'Use a new key for each new call; the same key and input give the outcome of the first.',
  });
}

async function waitForTwin({ database }: KeepParts, { request }: KeepableCall, first: Run): Promise<Outcome> {
  const { tenant } = request.principal;
  const giveUpAt = Date.now() + (request.backgroundAfterMs ?? Number.POSITIVE_INFINITY);
  let run = first;
  while (run.state === 'running' && Date.now() < giveUpAt) {
    if (request.signal.aborted) throw new WeaverError('cancelled', `${run.tool} was cancelled by its caller.`);
    await sleep(twinPollMs);
    run = (await findRun(database.read, tenant, run.id, Date.now())) ?? run;
  }
  return outcomeOf(run);
}

/** A kept run as the outcome of its call. */
export function outcomeOf(run: Run): Outcome {
  if (run.state === 'done') return { status: 'done', value: run.value };
  if (run.state === 'asks' && run.question) return { status: 'asks', question: run.question, runId: run.id };
  if (run.state === 'running') return { status: 'running', runId: run.id };
  const { code, message, hint, details } = run.error ?? {
    code: 'unavailable',
    message: `${run.tool} ended without an outcome.`,
  };
  return {
    status: 'failed',
    error: new WeaverError(code as ErrorCode, message, { ...(hint && { hint }), ...(details && { details }) }),
  };
}
