import type { Node } from '@babel/types';

/** The author's line and column, both counted from 1. */
export interface Place {
  line: number;
  column: number;
}

export const placeOf = (node: Node): Place => ({
  line: node.loc?.start.line ?? 1,
  column: (node.loc?.start.column ?? 0) + 1,
});
