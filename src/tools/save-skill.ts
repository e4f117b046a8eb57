import * as z from 'zod';
import type { Tool } from '../catalog/tool.ts';
import type { Principal } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import { type Saved, type SaveParts, saveDraft } from '../library/save.ts';
import { languages, skillDraft } from '../skills/draft.ts';
import { draftFromRun } from '../skills/from-run.ts';
import type { Database } from '../store/database.ts';
import { defineBuiltin } from './builtin.ts';

// What a run can give need not be given.
const input = skillDraft.partial({ code: true, input_schema: true }).extend({
  language: z.enum(languages).optional().describe('Language of the code; default: javascript.'),
  from_run: z
    .string()
    .max(60)
    .optional()
    .describe('The run_id of run_code: gives code, and schemas from its real input and result, where you give none.'),
  run_as_example: z
    .boolean()
    .default(false)
    .describe('Keep the input and result of that run as an example. Only if they hold nothing private.'),
});

/** `save_skill`: code that worked becomes a tool. */
export function saveSkill(parts: () => SaveParts): Tool {
  return defineBuiltin({
    name: 'save_skill',
    title: 'Save a skill',
    description:
      'Save code that worked as a tool for next time. Search first: reuse or improve what is there. It is checked, its examples are run in a sandbox, and it is callable at once if it needs nothing outside itself and an example passes; else a person reviews it first. Saving under an existing name makes its next version.',
    input,
    needs: 'save',
    risk: 'writes',
    isIdempotent: true,
    run: async (given, { request: { principal }, signal }) => {
      const { name, version } = given;
      const draft = await withRun(parts().database, principal, given);
      return answer(await saveDraft(parts(), { kind: 'skill', name, draft, version, principal, signal }));
    },
  });
}

type Given = z.output<typeof input>;

/** The draft with what its run gives. @throws WeaverError `bad_input`, and those of draftFromRun. */
async function withRun(
  database: Database,
  principal: Principal,
  { from_run: runId, run_as_example: isExample, ...draft }: Given,
): Promise<unknown> {
  if (runId !== undefined) {
    const { example, ...ran } = await draftFromRun(database, principal, runId, Date.now());
    return { ...ran, ...draft, examples: isExample ? [...draft.examples, example] : draft.examples };
  }
  const lacking = (['code', 'input_schema'] as const).filter((field) => draft[field] === undefined);
  const problems = [
    ...lacking.map((field) => `input.${field} is missing`),
    ...(isExample ? ['input.run_as_example is of no use without from_run'] : []),
  ];
  if (problems.length === 0) return draft;
  throw new WeaverError('bad_input', `save_skill: ${problems.join('; ')}`, {
    hint: 'Give code and input_schema, or from_run with the run_id that run_code answered.',
    details: { problems, reason: 'incomplete' },
  });
}

function answer({ review, ...saved }: Saved) {
  const passed = saved.examples.filter((example) => example.passed).length;
  return {
    ...saved,
    examples: `${passed} of ${saved.examples.length} passed`,
    ...(review && { review }),
    next: review
      ? `Waits for a person (${review.why}): toolweaver review show ${review.id}`
      : `Call it: call_tool { "name": "${saved.name}", "input": … }`,
  };
}
