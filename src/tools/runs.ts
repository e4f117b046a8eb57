import * as z from 'zod';
import type { Tool } from '../catalog/tool.ts';
import { pageOf } from '../runs/page.ts';
import { cancelRun as endKept, getRun as readRun } from '../runs/read.ts';
import { type Run, listRuns as readRuns } from '../runs/table.ts';
import type { Database } from '../store/database.ts';
import { defineBuiltin } from './builtin.ts';

const runId = z.string().min(1).max(60).describe('The run, as the call or list_runs named it.');

/** `get_run`: where a kept call stands, and its result page by page. */
export function getRun(database: Database): Tool {
  return defineBuiltin({
    name: 'get_run',
    title: 'Get a run',
    description:
      'Where a run stands: what it asks, how far it is, or its result, which may be large: read a part of it by path, page by page.',
    input: z.strictObject({
      run_id: runId,
      path: z.string().max(500).default('').describe('Where in the result, such as rows.3.name; empty for the whole.'),
      offset: z.int().min(0).max(10_000_000).default(0).describe('First element, character or key.'),
      limit: z.int().min(1).max(30_000).default(100).describe('At most so many elements, characters or keys.'),
    }),
    needs: 'read',
    risk: 'reads',
    run: async ({ run_id, path, offset, limit }, { request }) => {
      const run = await readRun(database, request.principal, run_id, Date.now());
      if (run.state !== 'done') return brief(run);
      const { nextOffset, ...page } = pageOf(run.value, path, offset, limit);
      return { ...brief(run), ...page, ...(nextOffset !== undefined && { next_offset: nextOffset }) };
    },
  });
}

/** `list_runs`: the caller's kept calls. */
export function listRuns(database: Database): Tool {
  return defineBuiltin({
    name: 'list_runs',
    title: 'List runs',
    description:
      'Your kept calls, newest first: what runs in the background, what waits for an answer, what has ended.',
    input: z.strictObject({
      status: z.enum(['running', 'asks', 'done', 'failed', 'cancelled']).optional().describe('Only those.'),
      limit: z.int().min(1).max(100).default(20),
    }),
    needs: 'read',
    risk: 'reads',
    run: async ({ status, limit }, { request: { principal } }) => {
      const own = principal.kind === 'person' ? undefined : principal.id;
      const filter = { principal: own, state: status, limit };
      return { runs: (await readRuns(database.read, principal.tenant, filter, Date.now())).map(brief) };
    },
  });
}

/** `cancel_run`: ends a call that went on in the background, or that asks. */
export function cancelRun(database: Database): Tool {
  return defineBuiltin({
    name: 'cancel_run',
    title: 'Cancel a run',
    description: 'End a run that goes on in the background or waits for an answer. What it did already is not undone.',
    input: z.strictObject({ run_id: runId }),
    needs: 'call',
    risk: 'writes',
    run: async ({ run_id }, { request }) => brief(await endKept(database, request.principal, run_id, Date.now())),
  });
}

const answer = z.strictObject({
  run_id: runId,
  question_id: z.string().min(1).max(60).describe('The question, as get_run shows it.'),
  answer: z
    .record(z.string(), z.union([z.string(), z.number(), z.boolean()]))
    .describe("The fields of the question's form."),
});

/** `answer_run`: the answer to what a run asks; the road goes on with that run. */
export const answerRun: Tool = {
  ...defineBuiltin({
    name: 'answer_run',
    title: 'Answer a run',
    description:
      'Answer what a run asks, and go on with it. Only what anyone may answer: what asks for a person is answered by that person in a terminal.',
    input: answer,
    needs: 'call',
    risk: 'writes',
    // The road goes on with the run before it comes here.
    run: async () => undefined,
  }),
  answers(raw, { principal, via }) {
    const { run_id, question_id, answer: value } = answer.parse(raw);
    const how = via === 'cli' ? 'cli' : 'tool';
    return { runId: run_id, answer: { questionId: question_id, value, by: principal, how, at: Date.now() } };
  },
};

/** A run as lists show it. */
export const brief = ({
  id,
  tool,
  version,
  principal,
  state,
  error,
  question,
  progress,
  createdAt,
  expiresAt,
}: Run) => ({
  run_id: id,
  tool,
  ...(version !== undefined && { version }),
  status: state,
  principal,
  ...(error && { error }),
  ...(question && { question }),
  ...(progress && { progress }),
  started_at: new Date(createdAt).toISOString(),
  expires_at: new Date(expiresAt).toISOString(),
});
