import type { EntryKind } from '../library/kind.ts';
import { inspectSkill } from './check.ts';
import { type ExampleParts, proveExamples } from './examples.ts';
import { toProgram } from './host.ts';
import { createSkillTool, type SkillParts } from './run.ts';

/** Skills, as the library keeps them. */
export function createSkillKind(parts: SkillParts & ExampleParts): EntryKind {
  return {
    inspect: inspectSkill,
    prove(manifest, { compiled, examples }, principal, signal) {
      const program = toProgram(manifest, compiled);
      return proveExamples(parts, { manifest, program, principal, signal }, examples);
    },
    toTool: (tenant, version, manifest, seal) => createSkillTool(parts, { tenant, version, manifest, seal }),
  };
}
