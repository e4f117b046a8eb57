import { z } from 'zod';
import type { Call } from '../catalog/call.ts';
import { done, type Tool } from '../catalog/tool.ts';
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

/** `answer_run`: the answer to what a run asks; the run goes on with it. */
export function answerRun(call: Call): Tool {
  const tool = defineBuiltin({
    name: 'answer_run',
    title: 'Answer a run',
    description:
      'Answer what a run asks, and go on with it. Only what anyone may answer: what asks for a person is answered by that person in a terminal.',
    input: z.strictObject({
      run_id: runId,
      question_id: z.string().min(1).max(60).describe('The question, as get_run shows it.'),
      answer: z
        .record(z.string(), z.union([z.string(), z.number(), z.boolean()]))
        .describe("The fields of the question's form."),
    }),
    needs: 'call',
    risk: 'writes',
    run: async () => undefined,
  });
  return {
    ...tool,
    run: async (raw, { request, signal, progress }) => {
      const { run_id, question_id, answer } = raw as {
        run_id: string;
        question_id: string;
        answer: Record<string, string | number | boolean>;
      };
      const { principal, via } = request;
      const given = {
        questionId: question_id,
        value: answer,
        by: principal,
        how: via === 'cli' ? 'cli' : 'tool',
        at: Date.now(),
      } as const;
      const resume = { runId: run_id, answer: given };
      const outcome = await call({ tool: '', input: {}, principal, via, signal, progress, resume });
      return outcome.status === 'done' ? done(outcome.value) : outcome;
    },
  };
}

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
