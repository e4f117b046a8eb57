import { needsDeno } from '../code/check-program.ts';
import type { Finding } from '../contracts.ts';
import type { WeaverError } from '../errors.ts';
import type { Engine } from '../sandbox/sandbox.ts';

/** Why an engine cannot be used here; undefined when it can. */
export type EngineProblem = (engine: Engine) => Promise<WeaverError | undefined>;

/**
 * The engine for a source, from what its check found: the default one, unless it uses names that only Deno has. Where that
 * is there, those findings become remarks; where not, they say so.
 */
export async function chooseEngine(
  findings: readonly Finding[],
  problemOf: EngineProblem,
): Promise<{ engine: Engine; findings: Finding[] }> {
  if (!findings.some(({ rule }) => rule === needsDeno)) return { engine: 'quickjs', findings: [...findings] };
  const problem = await problemOf('deno');
  const engine = problem ? 'quickjs' : 'deno';
  return {
    engine,
    findings: findings.map((finding) => (finding.rule === needsDeno ? judged(finding, problem) : finding)),
  };
}

function judged(finding: Finding, problem: WeaverError | undefined): Finding {
  if (!problem) {
    return {
      ...finding,
      severity: 'warning',
      remedy: 'It runs in the engine deno, where a call may find what an earlier one left.',
    };
  }
  return { ...finding, remedy: `${finding.remedy} Or install Deno: ${problem.message}` };
}

/** The remark for code that the default engine was too slow for. */
export const slowInQuickJs: Finding = {
  rule: 'engine_deno',
  severity: 'warning',
  where: 'code',
  message: 'the code computes too long for the default engine; it runs in the engine deno',
  remedy: 'Compute less to stay with fresh state for every call.',
};
