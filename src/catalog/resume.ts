import { type Answer, type CallRequest, isReviewer, type Question } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import { isSameJson } from '../json.ts';
import type { RunKeeper } from '../runs/keeper.ts';
import { findTaken } from '../runs/leases.ts';
import { findQuestion, keepAnswer, lastAnswer } from '../runs/questions.ts';
import { getRun } from '../runs/read.ts';
import { moveRun, type Run, retentionMs } from '../runs/table.ts';
import type { Database } from '../store/database.ts';
import { isRepeatable, type Tool } from './tool.ts';
import { compileValidator } from './validator.ts';

/** Whether an elicited answer through an agent's connection counts as a person's. */
export interface ResumeRules {
  elicitationCounts: boolean;
}

const maxTakes = 3;

/**
 * The request with which a run goes on that was taken over from a process that ended: its own, under its own principal
 * and idempotency key.
 * @throws WeaverError `conflict` when it is not the run's lease any more, `unavailable` when several processes ended
 * while they ran it, or it was answered by somebody of whom only the name is kept.
 */
export async function takenRequest(database: Database, request: CallRequest, lease: string): Promise<CallRequest> {
  const { tenant } = request.principal;
  const runId = request.resume?.runId ?? '';
  const taken = await findTaken(database.read, { tenant, id: runId }, lease, Date.now());
  if (!taken?.run.request) {
    throw new WeaverError('conflict', `${runId} is not held by that lease.`, {
      hint: 'get_run shows where it stands.',
    });
  }
  const { run, takes } = taken;
  if (takes > maxTakes) throw lostRun(run.tool, `${takes} processes ended one after the other while they ran it`);
  const { input, principal, via } = taken.run.request;
  const answered = await lastAnswer(database.read, { tenant, id: runId });
  if (answered && answered.by !== principal.id)
    throw lostRun(run.tool, 'the process that went on with an answer ended');
  return {
    ...request,
    ...{ tool: run.tool, input, principal, via },
    ...(run.version !== undefined && { version: run.version }),
    ...(run.idempotencyKey !== undefined && { idempotencyKey: run.idempotencyKey }),
    resume: { runId, lease, ...(answered && { answer: { ...answered, by: principal } }) },
  };
}

/** @throws WeaverError `unavailable` for a tool whose run in a process that ended may have done what must not be done twice. */
export function refuseUnrepeatable(tool: Tool): void {
  if (!isRepeatable(tool)) throw lostRun(tool.name, 'the process that ran it ended');
}

const lostRun = (tool: string, why: string): WeaverError =>
  new WeaverError('unavailable', `${tool} was lost: ${why}. Nobody knows how much of it was done.`, {
    hint: 'Look at what it may have changed, then call it again if that allows it.',
  });

/**
 * The request with which a kept run goes on, under its own principal, once the answer to what it asks is found to be one.
 * Nothing is taken yet: `takeAnswer` does that.
 * @throws WeaverError `not_found`, `conflict` (the run asks no such thing), `timed_out`, `needs_person`, `not_allowed`,
 * `bad_input` when the answer does not fit the form.
 */
export async function resumedRequest(
  database: Database,
  request: CallRequest,
  rules: ResumeRules,
): Promise<CallRequest> {
  const { runId, answer } = answered(request);
  const run = await getRun(database, answer.by, runId, Date.now());
  const asked = await findQuestion(database.read, { tenant: answer.by.tenant, id: runId }, answer.questionId);
  if (!asked || !run.request) throw asksNoSuchThing(runId);
  checkRight(run, asked.question, answer, rules);
  if (!asked.answer && asked.question.expiresAt < Date.now()) {
    throw new WeaverError('timed_out', `${run.id}: the time to answer is over.`, { hint: `Call ${run.tool} again.` });
  }
  await checkForm(run, asked.question, answer);
  const { version, idempotencyKey, ...rest } = request;
  const { input, via } = run.request;
  // The run's own principal goes on with the rights that it has by now.
  const principal = answer.by.id === run.principal ? answer.by : run.request.principal;
  return { ...rest, tool: run.tool, ...(run.version !== undefined && { version: run.version }), input, principal, via };
}

/**
 * Takes the answer, once, whichever process does; gives the run where the same answer was taken before.
 * @throws WeaverError `conflict` when another answer was taken, or the run asks no more.
 */
export async function takeAnswer(
  { database, keeper }: { database: Database; keeper: Pick<RunKeeper, 'leaseMs'> },
  request: CallRequest,
  holder: string,
): Promise<Run | undefined> {
  const { runId, answer } = answered(request);
  const key = { tenant: answer.by.tenant, id: runId };
  const now = Date.now();
  const times = { leaseUntil: now + keeper.leaseMs, expiresAt: now + retentionMs.kept };
  const isTaken = await database.write(async (trx) => {
    if (!(await keepAnswer(trx, key, answer))) return false;
    if (await moveRun(trx, key, { from: 'asks' }, { state: 'running', holder, ...times }, now)) return true;
    // Cancelled meanwhile: an answer without effect is not kept.
    throw asksNoSuchThing(runId);
  });
  if (isTaken) return undefined;
  const asked = await findQuestion(database.read, key, answer.questionId);
  const isRepeated = asked?.answer?.by === answer.by.id && isSameJson(asked.answer.value, answer.value);
  if (isRepeated) return getRun(database, answer.by, runId, now);
  throw asksNoSuchThing(runId);
}

function answered({ resume }: CallRequest): { runId: string; answer: Answer } {
  const { runId = '', answer } = resume ?? {};
  if (answer) return { runId, answer };
  throw new WeaverError('bad_input', `${runId}: an answer is missing.`, { hint: 'get_run shows what it asks.' });
}

const asksNoSuchThing = (runId: string): WeaverError =>
  new WeaverError('conflict', `${runId} does not ask that, or not any more.`, {
    hint: 'get_run shows where it stands.',
  });

/** Why somebody may not answer a question in this way: it asks a person, or it asks others. */
export function whyNotAnswer(
  { for: asked, approvers }: Question,
  { by, how }: Pick<Answer, 'by' | 'how'>,
  { elicitationCounts }: ResumeRules,
): 'person' | 'approvers' | undefined {
  if (asked === 'person' && !isReviewer(by) && !(how === 'elicitation' && elicitationCounts && !by.isRemote))
    return 'person';
  return approvers && !approvers.includes(by.id) ? 'approvers' : undefined;
}

function checkRight({ id }: Run, question: Question, answer: Answer, rules: ResumeRules): void {
  const why = whyNotAnswer(question, answer, rules);
  if (why === 'person') {
    throw new WeaverError('needs_person', `${id} asks a person; an agent may not answer.`, {
      hint: `Ask the person to run in a terminal: toolweaver run answer ${id}`,
      details: { run: id },
    });
  }
  if (why === 'approvers') {
    throw new WeaverError('not_allowed', `${id} does not ask ${answer.by.id}.`, {
      hint: `It asks ${question.approvers?.join(', ')}.`,
    });
  }
}

async function checkForm(run: Run, { form }: Question, { value }: Answer): Promise<void> {
  const fits = await compileValidator({ ...form, additionalProperties: false }, 'input');
  const problems = fits(value).map((problem) => problem.replace(/^input/, 'answer'));
  if (problems.length === 0) return;
  throw new WeaverError('bad_input', `${run.tool}: ${problems.join('; ')}`, {
    hint: `It still asks: get_run ${JSON.stringify({ run_id: run.id })} shows the form.`,
    details: { problems, run_id: run.id },
  });
}
