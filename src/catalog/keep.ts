import { setTimeout as sleep } from 'node:timers/promises';
import type { CallRequest, Outcome, Progress } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import { canonicalJson, sha256 } from '../json.ts';
import type { Log } from '../log.ts';
import type { HeldRun, RunKeeper } from '../runs/keeper.ts';
import { insertQuestion } from '../runs/questions.ts';
import {
  dropRun,
  endRun,
  findByKey,
  findRun,
  insertRun,
  moveRun,
  type Run,
  type RunState,
  retentionMs,
} from '../runs/table.ts';
import type { Database } from '../store/database.ts';
import { takeAnswer } from './resume.ts';
import { isRepeatable, type Tool } from './tool.ts';

/** After so many milliseconds the edges have a call go on in the background: hosts give up after 60 s. */
export const backgroundAfterMs = 45_000;
/** The longest idempotency key, in characters. */
export const maxKeyLength = 200;

const twinPollMs = 100;

export interface KeepParts {
  database: Database;
  keeper: RunKeeper;
  log: Log;
}

/** A call that is about to run. */
export interface KeepableCall {
  tool: Tool;
  request: CallRequest;
  /** Under which what it keeps is its own, unless it was taken over under another lease. */
  callId: string;
  runId: string;
  /** Never throws, ends soon after `stop` is aborted, aborts it at its end, and counts the call. */
  work(stop: AbortController, progress: (progress: Progress) => void): Promise<Outcome>;
  /** Counts a call that need not run. */
  record(outcome: Outcome): Outcome;
}

/**
 * Runs a call and keeps of it what must be kept: its outcome under an idempotency key, a run that goes on in the
 * background, a run that asks. A plain call is kept nowhere and costs nothing here. Where the same key, or the same
 * answer, has begun it before, it is not run again: its outcome is that of the first.
 * @throws WeaverError `conflict` for a key that stands for another input or a question answered otherwise, `cancelled`,
 * and those of the database.
 */
export async function keepCall(parts: KeepParts, call: KeepableCall): Promise<Outcome> {
  const { request } = call;
  const holder = request.resume?.lease ?? call.callId;
  const first = await claim(parts, call, holder);
  if (first) {
    const outcome = await waitForTwin(parts, request, first);
    return outcome ? call.record(outcome) : keepCall(parts, call);
  }
  const kept = new KeptCall(parts, call, holder);
  if (request.backgroundAfterMs === undefined) return kept.ended;
  return kept.endedOrHandedOver(request.backgroundAfterMs);
}

class KeptCall implements HeldRun {
  readonly tenant: string;
  readonly id: string;
  readonly holder: string;
  readonly isRepeatable: boolean;
  progress: Progress | undefined;
  /** The outcome, once it is kept where it is to be kept. */
  readonly ended: Promise<Outcome>;
  readonly #parts: KeepParts;
  readonly #call: KeepableCall;
  readonly #stop = new AbortController();
  readonly #onAbort = () => this.#stop.abort();
  #isKept: boolean;
  #isOver = false;
  #handingOver: Promise<boolean> | undefined;
  #retentionMs: number;

  constructor(parts: KeepParts, call: KeepableCall, holder: string) {
    const { signal, principal, idempotencyKey, resume } = call.request;
    this.#parts = parts;
    this.#call = call;
    this.tenant = principal.tenant;
    this.id = call.runId;
    this.holder = holder;
    this.isRepeatable = isRepeatable(call.tool);
    this.#isKept = idempotencyKey !== undefined || resume !== undefined;
    this.#retentionMs = resume ? retentionMs.kept : retentionMs.plain;
    signal.addEventListener('abort', this.#onAbort, { once: true });
    if (signal.aborted) this.#stop.abort();
    this.ended = this.#run();
    if (this.#isKept) parts.keeper.hold(this);
  }

  cancel(error: WeaverError): void {
    this.#stop.abort(error);
  }

  /** The outcome, or after so many milliseconds the run that goes on without the caller. */
  async endedOrHandedOver(afterMs: number): Promise<Outcome> {
    // A plain timer: one that an AbortSignal ends makes an error for every call.
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(resolve, afterMs, 'late');
    });
    const first = await Promise.race([this.ended, late]).finally(() => clearTimeout(timer));
    if (first !== 'late') return first;
    if (!this.#isOver) this.#handingOver = this.#handOver();
    // What has ended meanwhile is kept all the same, but its caller need not ask for it.
    if (!(await this.#handingOver) || this.#isOver) return this.ended;
    this.ended.catch((error: unknown) => this.#parts.log.warn({ error, run: this.id }, 'a run could not be kept'));
    return { status: 'running', runId: this.id };
  }

  async #run(): Promise<Outcome> {
    const { request, work } = this.#call;
    const outcome = await work(this.#stop, (now) => {
      this.progress = now;
      request.progress?.(now);
    });
    this.#isOver = true;
    request.signal.removeEventListener('abort', this.#onAbort);
    const isInBackground = await this.#handingOver;
    this.#parts.keeper.release(this);
    if (outcome.status === 'asks') return this.#keepQuestion(outcome);
    if (this.#isKept) await this.#keepEnd(outcome, isInBackground === true);
    return outcome;
  }

  // From here on the caller's signal does not end the run: cancel_run and the deadline do.
  async #handOver(): Promise<boolean> {
    const { database, keeper, log } = this.#parts;
    const now = Date.now();
    const row = this.#row('running', now + keeper.leaseMs);
    try {
      const isRunning = await database.write((trx) =>
        this.#isKept ? moveRun(trx, this, this.#mine(), row, now) : insertRun(trx, row, now),
      );
      if (!isRunning) return false;
    } catch (error) {
      log.warn({ error }, 'a long call could not go on in the background; its caller waits');
      return false;
    }
    this.#call.request.signal.removeEventListener('abort', this.#onAbort);
    this.#isKept = true;
    this.#retentionMs = retentionMs.kept;
    if (!this.#isOver) keeper.hold(this);
    return true;
  }

  async #keepQuestion(outcome: Extract<Outcome, { status: 'asks' }>): Promise<Outcome> {
    const { question } = outcome;
    const now = Date.now();
    const row = this.#row('asks', question.expiresAt);
    await this.#parts.database.write(async (trx) => {
      const isAsking = this.#isKept ? await moveRun(trx, this, this.#mine(), row, now) : await insertRun(trx, row, now);
      if (!isAsking) throw new WeaverError('cancelled', `${this.#call.tool.name} was cancelled before it could ask.`);
      await insertQuestion(trx, this, question, now);
    });
    return { ...outcome, runId: this.id };
  }

  async #keepEnd(outcome: Outcome, isInBackground: boolean): Promise<void> {
    const { database, log } = this.#parts;
    const now = Date.now();
    const end = { ...endOf(outcome), expiresAt: now + this.#retentionMs };
    const isFree = isRefusal(outcome) && !isInBackground && !this.#call.request.resume;
    try {
      await database.write(async (trx) => {
        if (isFree) await dropRun(trx, this, this.holder);
        else await endRun(trx, this, end, now, this.holder);
      });
    } catch (error) {
      // The caller has the outcome all the same; only who asks for the run later will not.
      log.warn({ error, run: this.id }, 'the outcome of a run could not be kept');
    }
  }

  // What another process has taken over meanwhile is not its any more.
  #mine() {
    return { from: 'running', heldBy: this.holder } as const;
  }

  #row(state: 'running' | 'asks', leaseUntil: number) {
    const expiresAt = Math.max(Date.now() + retentionMs.kept, leaseUntil);
    return newRun(this.#call, { state, leaseUntil, expiresAt, ...(state === 'running' && { holder: this.holder }) });
  }
}

// Nothing was begun, and trying again can work: the key must not stand in the way for an hour.
const isRefusal = (outcome: Outcome): boolean => outcome.status === 'failed' && outcome.error.code === 'busy';

function newRun<T extends { state: RunState; leaseUntil: number; expiresAt: number; holder?: string }>(
  { tool, request, runId }: KeepableCall,
  times: T,
) {
  const { input, principal, via } = request;
  return { id: runId, tool: tool.name, version: tool.version, request: { input, principal, via }, ...times };
}

function endOf(outcome: Outcome): { state: 'done' | 'failed' | 'cancelled'; outcome: unknown } {
  if (outcome.status === 'done') return { state: 'done', outcome: outcome.value };
  if (outcome.status !== 'failed') return { state: 'failed', outcome: null };
  return { state: outcome.error.code === 'cancelled' ? 'cancelled' : 'failed', outcome: outcome.error.toJSON() };
}

/** Takes the key, or the answer, for this call; gives the run that has it already. */
async function claim(parts: KeepParts, call: KeepableCall, holder: string): Promise<Run | undefined> {
  const { resume, idempotencyKey } = call.request;
  if (resume) return resume.lease === undefined ? takeAnswer(parts, call.request, holder) : undefined;
  return idempotencyKey === undefined ? undefined : claimKey(parts, call, holder, idempotencyKey);
}

async function claimKey(
  parts: KeepParts,
  call: KeepableCall,
  holder: string,
  idempotencyKey: string,
): Promise<Run | undefined> {
  const { database, keeper } = parts;
  const { principal, tool, version, input } = call.request;
  // The version that was asked for, not the one that ran: a later version must not make the same request another.
  const inputHash = sha256(canonicalJson({ tool, version, input }));
  const now = Date.now();
  const times = { leaseUntil: now + keeper.leaseMs, expiresAt: now + retentionMs.plain };
  const run = newRun(call, { state: 'running', holder, ...times });
  const isFirst = await database.write((trx) => insertRun(trx, { ...run, key: { idempotencyKey, inputHash } }, now));
  if (isFirst) return undefined;
  const twin = await findByKey(database.read, principal, idempotencyKey, Date.now());
  // Gone between two looks: the key is free by now.
  if (!twin) return claimKey(parts, call, holder, idempotencyKey);
  if (twin.inputHash === inputHash) return twin.run;
  throw new WeaverError('conflict', 'The idempotency key was used for another call.', {
    hint: 'Use a new key for each new call; the same key and input give the outcome of the first.',
  });
}

/** The outcome of the run that was first, or that it runs when the caller's time is over; undefined when it is gone. */
async function waitForTwin(
  { database }: Pick<KeepParts, 'database'>,
  { principal: { tenant }, signal, backgroundAfterMs = Number.POSITIVE_INFINITY }: CallRequest,
  first: Run,
): Promise<Outcome | undefined> {
  const giveUpAt = performance.now() + backgroundAfterMs;
  let run: Run | undefined = first;
  while (run?.state === 'running' && performance.now() < giveUpAt) {
    if (signal.aborted) throw new WeaverError('cancelled', `${run.tool} was cancelled by its caller.`);
    await sleep(twinPollMs);
    run = await findRun(database.read, { tenant, id: first.id }, Date.now());
  }
  return run && outcomeOf(run);
}

/** A kept run as the outcome of its call. */
export function outcomeOf({ id, tool, state, value, question, error }: Run): Outcome {
  if (state === 'done') return { status: 'done', value };
  if (state === 'asks' && question) return { status: 'asks', question, runId: id };
  if (state === 'running') return { status: 'running', runId: id };
  const { code, message, ...extras } = error ?? { code: 'unavailable', message: `${tool} ended without an outcome.` };
  return { status: 'failed', error: new WeaverError(code, message, extras) };
}
