import { inferSchema } from '../code/infer-schema.ts';
import type { JsonSchema, Principal } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import { isRecord } from '../json.ts';
import { getRun } from '../runs/read.ts';
import type { Database } from '../store/database.ts';

/** What a run gives to a draft where its author says nothing else. */
export interface RunDraft {
  code: string;
  language: string;
  input_schema: JsonSchema;
  output_schema?: JsonSchema;
  /** The run itself, to become an example where somebody confirms that it holds nothing private. */
  example: { input: unknown; output: unknown };
}

/**
 * The draft of a skill that a run of code makes: its code as it ran, and schemas that its input and result fit.
 * @throws WeaverError `not_found`, `bad_input` for a run of something else.
 */
export async function draftFromRun(
  database: Pick<Database, 'read' | 'write'>,
  principal: Principal,
  runId: string,
  now: number,
): Promise<RunDraft> {
  const run = await getRun(database, principal, runId, now);
  const { code, language, input } = (run.request?.input ?? {}) as Record<string, unknown>;
  if (run.tool !== 'run_code' || run.state !== 'done' || typeof code !== 'string' || !isRecord(run.value)) {
    throw new WeaverError('bad_input', `${runId} is no run of code that ended well.`, {
      hint: 'Give the run_id that run_code answered.',
    });
  }
  const { result } = run.value;
  return {
    code,
    language: String(language),
    input_schema: inferSchema([input]),
    ...(isRecord(result) && { output_schema: inferSchema([result]) }),
    example: { input, output: result },
  };
}
