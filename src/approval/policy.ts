import type { Risk } from '../contracts.ts';

export type ApprovalPolicy = 'risk' | 'always' | 'auto';

/** Why a version must wait for a person, or undefined when it may run at once. */
export function reasonToReview(policy: ApprovalPolicy, risk: Risk, passedExamples: number): string | undefined {
  if (policy === 'auto') return undefined;
  if (policy === 'always') return 'every version is reviewed here';
  if (risk !== 'none') return `it can reach more than itself (risk: ${risk})`;
  if (passedExamples === 0) return 'no example shows what it does';
  return undefined;
}
