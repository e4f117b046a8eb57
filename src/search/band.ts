import type { Hit } from './lexical-index.ts';

export type Band = 'exact' | 'strong' | 'fair' | 'weak';

const strongShare = 0.3;
const fairShare = 0.15;

/**
 * A word for how well a hit fits: `exact` is the tool's own name; `strong` has at least 30 % of the score that the query
 * could possibly earn (on labelled sets such a first hit is right 7 to 9 times in 10), `fair` 15 %, `weak` less.
 */
export function scoreBand({ score, why }: Pick<Hit, 'score' | 'why'>, possibleScore: number): Band {
  if (why === 'exact_name') return 'exact';
  if (why === 'prefix') return 'strong';
  if (why === 'similar' || !(possibleScore > 0)) return 'weak';
  const share = score / possibleScore;
  if (share >= strongShare) return 'strong';
  return share >= fairShare ? 'fair' : 'weak';
}
