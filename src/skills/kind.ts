import { denoNames } from '../code/check-program.ts';
import { checkTypes } from '../code/type-check.ts';
import type { EntryKind } from '../library/kind.ts';
import { inspectSkill, type SkillRules } from './check.ts';
import { slowInQuickJs } from './engine.ts';
import { type ExampleParts, proveExamples } from './examples.ts';
import { toProgram } from './host.ts';
import { createSkillTool, type SkillParts } from './run.ts';

/** Skills, as the library keeps them. */
export function createSkillKind(parts: SkillParts & ExampleParts & SkillRules): EntryKind {
  return {
    inspect: (draft) => inspectSkill(draft, parts),
    async checkTypes({ language, engine, input, output, capabilities }, source, tools, signal) {
      // Python's own type checkers are no part of it; mypy may once be.
      if (language === 'python') return [];
      const names = engine === 'deno' ? [...denoNames] : [];
      return checkTypes(source, language, { input, output, tools, names, reach: capabilities }, signal);
    },
    async prove(manifest, { compiled, examples }, principal, signal) {
      const bench = { manifest, program: toProgram(manifest, compiled), principal, signal };
      const { isTooSlow, ...proof } = await proveExamples(parts, bench, examples);
      if (!isTooSlow || manifest.engine !== 'quickjs' || (await parts.engineProblem('deno'))) return proof;
      const again = await proveExamples(parts, { ...bench, manifest: { ...manifest, engine: 'deno' } }, examples);
      if (again.findings.length > 0) return proof;
      return { results: again.results, engine: 'deno', findings: [slowInQuickJs] };
    },
    toTool: (tenant, version, manifest, seal) => createSkillTool(parts, { tenant, version, manifest, seal }),
  };
}
