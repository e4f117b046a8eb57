import { randomUUID } from 'node:crypto';
import { annotationsOf, type Tool, type ToolContext } from '../../src/catalog/tool.ts';
import type { Answer, FlatSchema, JsonSchema, Outcome } from '../../src/contracts.ts';

const noInput: JsonSchema = { type: 'object', properties: {} };

/** A tool for tests that goes the road of every other; put it into the catalog of an app. */
export const toolFor = (
  name: string,
  run: (input: Record<string, unknown>, ctx: ToolContext) => Outcome | Promise<Outcome>,
  input = noInput,
): Tool => ({
  name,
  kind: 'upstream',
  title: name,
  description: `For tests: ${name}.`,
  input,
  annotations: annotationsOf('none'),
  needs: 'call',
  risk: 'none',
  run: async (given, ctx) => run(given as Record<string, unknown>, ctx),
});

/** The outcome that asks one thing. `id` tells the questions of a tool apart. */
export const asks = (message: string, form: FlatSchema, { runId }: ToolContext, id = 'q'): Outcome => ({
  status: 'asks',
  runId,
  question: { id: `${id}_${randomUUID()}`, message, form, for: 'anyone', expiresAt: Date.now() + 600_000 },
});

/** What this run was answered, if it was asked. */
export const answerTo = ({ request }: ToolContext): Answer | undefined => request.resume?.answer;

/** A form of a required field each. */
export const form = (properties: FlatSchema['properties']): FlatSchema => ({
  type: 'object',
  properties,
  required: Object.keys(properties),
});
