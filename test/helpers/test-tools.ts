import { randomBytes } from 'node:crypto';
import type { Tool, ToolContext } from '../../src/catalog/tool.ts';
import type { FlatSchema, Outcome, Question } from '../../src/contracts.ts';

// Tools that ask, wait and report, built in beside our own: `testApp({ moreTools: [asking.tool] })`.

const base = {
  kind: 'builtin',
  title: 'For tests',
  description: 'Only for tests.',
  input: { type: 'object' },
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: false, openWorldHint: false },
  needs: 'call',
  risk: 'none',
} as const;

export interface TestTool {
  tool: Tool;
  /** The contexts in which it was begun or gone on with, in order. */
  runs: ToolContext[];
}

/** A tool that does this. */
export function testTool(name: string, run: Tool['run']): TestTool {
  const runs: ToolContext[] = [];
  const tool: Tool = {
    ...base,
    name,
    run: (input, ctx) => {
      runs.push(ctx);
      return run(input, ctx);
    },
  };
  return { tool, runs };
}

export interface WaitingTool extends TestTool {
  /** Ends the run that was begun first of those that wait. */
  finish(outcome?: Outcome | Error): void;
}

/** `waits`: runs until it is told to end, or its signal fires. */
export function waitingTool(): WaitingTool {
  const waiting: ((outcome: Outcome | Error) => void)[] = [];
  const made = testTool(
    'waits',
    () =>
      new Promise((resolve, reject) => {
        waiting.push((outcome) => (outcome instanceof Error ? reject(outcome) : resolve(outcome)));
      }),
  );
  return { ...made, finish: (outcome = { status: 'done', value: { waited: true } }) => waiting.shift()?.(outcome) };
}

export interface AsksInput {
  /** How many questions, one after the other. */
  times?: number;
  for?: Question['for'];
  approvers?: string[];
  expiresInMs?: number;
  form?: FlatSchema;
}

const yesForm: FlatSchema = {
  type: 'object',
  properties: { yes: { type: 'boolean', title: 'Yes?' }, why: { type: 'string', maxLength: 20 } },
  required: ['yes'],
};

/** `asks`: asks so many questions, and answers with the last answer and who gave it how. Keeps nothing between rounds. */
export function askingTool(): TestTool {
  return testTool('asks', async (raw, { request, runId }) => {
    const { times = 1, for: whom = 'anyone', approvers, expiresInMs = 60_000, form = yesForm } = raw as AsksInput;
    const answer = request.resume?.answer;
    const asked = Number(answer?.questionId.split('_')[2] ?? 0);
    if (asked >= times) {
      return { status: 'done', value: { answer: answer?.value, by: answer?.by.id, how: answer?.how, asked } };
    }
    const question = {
      id: `q_${randomBytes(6).toString('hex')}_${asked + 1}`,
      message: `Question ${asked + 1}?`,
      form,
      for: whom,
      ...(approvers && { approvers }),
      expiresAt: Date.now() + expiresInMs,
    };
    return { status: 'asks', question, runId };
  });
}
