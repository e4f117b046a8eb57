import { checkTypes } from '../code/type-check.ts';
import type { EntryKind } from '../library/kind.ts';
import { inspectSkill, type SkillRules } from './check.ts';
import { type ExampleParts, proveExamples } from './examples.ts';
import { toProgram } from './host.ts';
import { createSkillTool, type SkillParts } from './run.ts';

/** Skills, as the library keeps them. */
export function createSkillKind(parts: SkillParts & ExampleParts & SkillRules): EntryKind {
  return {
    inspect: (draft) => inspectSkill(draft, parts),
    checkTypes({ language, input, output, capabilities }, source, tools, signal) {
      return checkTypes(source, language, { input, output, tools, reach: capabilities }, signal);
    },
    prove(manifest, { compiled, examples }, principal, signal) {
      const program = toProgram(manifest, compiled);
      return proveExamples(parts, { manifest, program, principal, signal }, examples);
    },
    toTool: (tenant, version, manifest, seal) => createSkillTool(parts, { tenant, version, manifest, seal }),
  };
}
