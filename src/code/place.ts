import type { Node } from '@babel/types';

/** The author's line and column of a node, both counted from 1. */
export const placeOf = (node: Node): { line: number; column: number } => ({
  line: node.loc?.start.line ?? 1,
  column: (node.loc?.start.column ?? 0) + 1,
});
