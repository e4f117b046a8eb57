import type { Finding, Risk } from '../contracts.ts';
import { poisonRules } from '../text/poison.ts';

export type ApprovalPolicy = 'risk' | 'always' | 'auto';

// What may steer or deceive a model, and code that no reader can see.
const suspicious: readonly string[] = [...poisonRules, 'made_code'];

/** Why a version must wait for a person, or undefined when it may run at once. */
export function reasonToReview(
  policy: ApprovalPolicy,
  risk: Risk,
  passedExamples: number,
  findings: readonly Finding[],
): string | undefined {
  if (policy === 'auto') return undefined;
  if (policy === 'always') return 'every version is reviewed here';
  if (risk !== 'none') return `it can reach more than itself (risk: ${risk})`;
  const suspect = findings.find(({ rule }) => suspicious.includes(rule));
  if (suspect) return `a person must look at what was found (${suspect.rule} in ${suspect.where})`;
  if (passedExamples === 0) return 'no example shows what it does';
  return undefined;
}
