import { type Answer, type CallRequest, isReviewer, type Principal, type Question } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import { leaseMs } from '../runs/keeper.ts';
import { findRun, keepAnswer, moveRun, type Run } from '../runs/table.ts';
import type { Database } from '../store/database.ts';
import { compileValidator } from './validator.ts';

/** Whether an elicited answer through an agent's connection counts as a person's. */
export interface ResumeRules {
  elicitationCounts: boolean;
}

/**
 * Takes an answer to what a kept run asks, and gives the request with which the run goes on, under its own principal.
 * An answer is taken once, whichever process takes it.
 * @throws WeaverError `not_found`, `conflict` (answered before, or nothing is asked), `timed_out`, `needs_person`,
 * `not_allowed`, `bad_input` when the answer does not fit the form.
 */
export async function takeUp(database: Database, request: CallRequest, rules: ResumeRules): Promise<CallRequest> {
  const { runId = '', answer } = request.resume ?? {};
  const now = Date.now();
  const run = await findRun(database.read, request.principal.tenant, runId, now);
  if (!run?.request)
    throw new WeaverError('not_found', `There is no run ${JSON.stringify(runId.slice(0, 60))}.`, {
      hint: 'list_runs shows them.',
    });
  if (!answer)
    throw new WeaverError('bad_input', `${runId}: an answer is missing.`, { hint: 'get_run shows what it asks.' });
  const question = openQuestion(run, answer);
  checkRight(run, question, answer, rules);
  const problems = (await compileValidator({ ...question.form }, 'input'))(answer.value);
  if (problems.length > 0) {
    const shown = problems.map((problem) => problem.replace(/^input/, 'answer'));
    throw new WeaverError('bad_input', `${run.tool}: ${shown.join('; ')}`, {
      hint: 'get_run shows the form.',
      details: { problems: shown },
    });
  }
  await database.write(async (trx) => {
    const isFirst = await keepAnswer(trx, request.principal.tenant, answer);
    const isTaken =
      isFirst && (await moveRun(trx, request.principal.tenant, run.id, 'asks', 'running', now + leaseMs, now));
    if (!isTaken) throw answeredBefore(run);
  });
  const { input, principal, via } = run.request;
  return {
    ...request,
    tool: run.tool,
    version: run.version,
    input,
    principal,
    via,
    idempotencyKey: undefined,
  } as CallRequest;
}

function openQuestion(run: Run, answer: Answer): Question {
  if (run.state === 'failed' && run.error?.code === 'timed_out') {
    throw new WeaverError('timed_out', `${run.id}: the time to answer is over.`, { hint: `Call ${run.tool} again.` });
  }
  if (run.state !== 'asks' || run.question?.id !== answer.questionId) throw answeredBefore(run);
  return run.question;
}

const answeredBefore = (run: Run): WeaverError =>
  new WeaverError('conflict', `${run.id} does not ask that, or not any more: it is ${run.state}.`, {
    hint: 'get_run shows where it stands.',
  });

function checkRight(run: Run, question: Question, { by, how }: Answer, { elicitationCounts }: ResumeRules): void {
  if (question.for === 'person' && !isReviewer(by) && !(how === 'elicitation' && elicitationCounts)) {
    throw new WeaverError('needs_person', `${run.id} asks a person; an agent may not answer.`, {
      hint: `Ask the person to run in a terminal: toolweaver run answer ${run.id}`,
      details: { run: run.id },
    });
  }
  if (question.approvers && !question.approvers.includes(by.id)) throw notAsked(run, by);
  if (by.kind !== 'person' && by.id !== run.principal) throw notAsked(run, by);
}

const notAsked = (run: Run, by: Principal): WeaverError =>
  new WeaverError('not_allowed', `${run.id} does not ask ${by.id}.`, { hint: 'The run names who may answer.' });
