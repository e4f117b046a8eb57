import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { packageRoot } from '../../src/package.ts';
import { createLexicalIndex } from '../../src/search/lexical-index.ts';
import { parameterWords } from '../../src/search/signature.ts';

interface Entry {
  id: string;
  name: string;
  description: string;
  inputSchema?: unknown;
  server?: string;
}

interface Question {
  text: string;
  relevant: string[];
}

const folder = join(packageRoot, '../shared/bench/retrieval');
const isPresent = existsSync(folder);

describe.skipIf(!isPresent)(
  `search quality${isPresent ? '' : ' (missing: the labelled sets of ../shared/bench/retrieval)'}`,
  () => {
    // Dense retrieval is added to these scores with a weight set for exactly this ranking, so a change either way matters.
    it.each([
      ['metatool', 0.621],
      ['seal-tools', 0.907],
      ['bfcl', 0.664],
      ['mcp-bench', 0.571],
    ])('nDCG@10 on %s is within 0.006 of %d', (set, expected) => {
      expect(Math.abs(meanNdcg(set) - expected)).toBeLessThanOrEqual(0.006);
    });
  },
);

function meanNdcg(set: string): number {
  const index = createLexicalIndex();
  for (const { id, name, description, inputSchema, server } of read<Entry>(set, 'corpus.jsonl'))
    index.put({
      id,
      name,
      description,
      useWhen: [],
      exampleRequests: [],
      parameters: parameterWords(inputSchema),
      tags: [],
      ...(server !== undefined && { origin: server }),
    });
  const gains = read<Question>(set, 'queries.jsonl').map(({ text, relevant }) =>
    ndcg(
      index.search(text, 10).map(({ id }) => id),
      new Set(relevant),
    ),
  );
  return gains.reduce((sum, gain) => sum + gain, 0) / gains.length;
}

function ndcg(found: string[], relevant: Set<string>): number {
  const discount = (rank: number) => 1 / Math.log2(rank + 2);
  const gained = found.reduce((sum, id, rank) => sum + (relevant.has(id) ? discount(rank) : 0), 0);
  const ideal = Array.from({ length: Math.min(10, relevant.size) }, (_, rank) => discount(rank));
  return gained / ideal.reduce((sum, gain) => sum + gain, 0);
}

function read<T>(set: string, file: string): T[] {
  const lines = readFileSync(join(folder, set, file), 'utf8')
    .split('\n')
    .filter(Boolean);
  return lines.map((line): T => JSON.parse(line));
}
