const minSimilarity = 0.45;

/** Finds words spelled like a given one. */
export interface SpellingIndex {
  add(term: string): void;
  remove(term: string): void;
  /** At most `limit` terms with their similarity (0 to 1), the likest first; equal ones by their letters. */
  similar(term: string, limit: number): [term: string, similarity: number][];
}

/** Makes a spelling index of the terms: three-letter windows, compared by Dice's coefficient. */
export function createSpellingIndex(terms: Iterable<string>): SpellingIndex {
  const byTrigram = new Map<string, Set<string>>();
  const index: SpellingIndex = {
    add(term) {
      for (const trigram of trigrams(term)) {
        const having = byTrigram.get(trigram);
        if (having) having.add(term);
        else byTrigram.set(trigram, new Set([term]));
      }
    },

    remove(term) {
      for (const trigram of trigrams(term)) {
        const having = byTrigram.get(trigram);
        having?.delete(term);
        if (having?.size === 0) byTrigram.delete(trigram);
      }
    },

    similar(term, limit) {
      const wanted = trigrams(term);
      const shared = new Map<string, number>();
      for (const trigram of wanted)
        for (const other of byTrigram.get(trigram) ?? []) shared.set(other, (shared.get(other) ?? 0) + 1);
      return [...shared]
        .map(([other, count]): [string, number] => [other, (2 * count) / (wanted.size + trigrams(other).size)])
        .filter(([, similarity]) => similarity >= minSimilarity)
        .sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
        .slice(0, limit);
    },
  };
  for (const term of terms) index.add(term);
  return index;
}

/** The start of a word weighs more than its end: two blanks before it, one after. */
function trigrams(term: string): Set<string> {
  const padded = `  ${term} `;
  const found = new Set<string>();
  for (let at = 0; at + 3 <= padded.length; at++) found.add(padded.slice(at, at + 3));
  return found;
}
