import type { Tool } from '../catalog/tool.ts';
import { type Saved, type SaveParts, saveDraft } from '../library/save.ts';
import { skillDraft } from '../skills/draft.ts';
import { defineBuiltin } from './builtin.ts';

/** `save_skill`: code that worked becomes a tool. */
export function saveSkill(parts: () => SaveParts): Tool {
  return defineBuiltin({
    name: 'save_skill',
    title: 'Save a skill',
    description:
      'Save code that worked as a tool for next time. Search first: reuse or improve what is there. It is checked, its examples are run in a sandbox, and it is callable at once if it needs nothing outside itself and an example passes; else a person reviews it first. Saving under an existing name makes its next version.',
    input: skillDraft,
    needs: 'save',
    risk: 'writes',
    isIdempotent: true,
    run: async (draft, { request, signal }) => {
      const { name, version } = draft;
      return answer(
        await saveDraft(parts(), { kind: 'skill', name, draft, version, principal: request.principal, signal }),
      );
    },
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
