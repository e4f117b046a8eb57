import * as z from 'zod';
import type { Tool } from '../catalog/tool.ts';
import { type CheckParts, checkDraft, checkLevels } from '../library/check.ts';
import { skillDraft } from '../skills/draft.ts';
import { defineBuiltin } from './builtin.ts';

const level = z
  .enum(checkLevels)
  .default('exec')
  .describe('How far: syntax (texts, schemas, source), types (also the types), exec (also runs the examples).');

/** `validate_skill`: all that save_skill checks, and nothing kept. */
export function validateSkill(parts: () => CheckParts): Tool {
  return defineBuiltin({
    name: 'validate_skill',
    title: 'Validate a skill',
    description:
      'Check a skill exactly as save_skill would, examples included, and keep nothing. Returns every finding.',
    input: skillDraft.extend({ level }),
    needs: 'save',
    risk: 'reads',
    run: async ({ level, ...draft }, { request, signal }) => {
      const request_ = { kind: 'skill' as const, name: draft.name, draft, principal: request.principal, signal };
      const { sound, findings, examples, risk } = await checkDraft(parts(), request_, level);
      return { valid: sound !== undefined, level, risk, findings, examples };
    },
  });
}
