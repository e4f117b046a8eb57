import { splitWords } from './tokenise.ts';

/** A term of a query: how often it is asked for and the words, as written, that stand for it. */
export interface QueryTerm {
  term: string;
  count: number;
  words: string[];
}

/** What is read of a query; requests of people and agents are far shorter. */
const maxQueryChars = 10_000;

/** The distinct terms of a query in the order they are asked for, without stop words. */
export function readQuery(query: string, termOf: (word: string) => string): QueryTerm[] {
  const terms = new Map<string, QueryTerm>();
  for (const word of splitWords(query.slice(0, maxQueryChars))) {
    const term = termOf(word);
    if (term === '') continue;
    const known = terms.get(term);
    if (!known) {
      terms.set(term, { term, count: 1, words: [word] });
      continue;
    }
    known.count++;
    if (!known.words.includes(word)) known.words.push(word);
  }
  return [...terms.values()];
}
