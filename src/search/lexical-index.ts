import { createBest } from './best.ts';
import { rarity, saturated } from './bm25f.ts';
import { countTerms, type SearchDocument } from './document.ts';
import { createNameIndex } from './names.ts';
import { hasSlot, type Posting } from './postings.ts';
import { type QueryTerm, readQuery } from './query.ts';
import { createTermReader } from './tokenise.ts';
import { WordStore } from './word-store.ts';

export type { SearchDocument };

/** How a hit was found; `similar` is a guess at a typing error. */
type Why = 'exact_name' | 'prefix' | 'words' | 'similar';

/**
 * One entry that fits. `score` is in points of this BM25F, to which an exact name adds 2000 and a prefix 1000; `matched`
 * are words of the query as written.
 */
export interface Hit {
  id: string;
  score: number;
  matched: string[];
  why: Why;
}

/** Words of many entries, searched by BM25F; a change of one entry costs only that entry's words. */
export interface LexicalIndex {
  readonly size: number;
  /** Adds the entry or replaces the one of this id. */
  put(document: SearchDocument): void;
  /** Takes the entry out; an unknown id is no error. */
  remove(id: string): void;
  /** The best entries, by score and then by id; `accept` is asked only about entries good enough to be among them. */
  search(query: string, limit: number, accept?: (id: string) => boolean): Hit[];
  /** The score that an entry would approach that had every word of the query in plenty; see band.ts. */
  possibleScore(query: string): number;
}

/** What a name that is or begins with the query adds, so that it stands before all hits by words, after fusion too. */
const tierPoints: Readonly<Record<Why, number>> = { exact_name: 2000, prefix: 1000, words: 0, similar: 0 };

const maxQueryTerms = 60;
const maxMisspelled = 8;
const guessesPerWord = 3;

/** A term to look for: where it occurs, what it is worth and which words of the query stand for it. */
interface Wanted {
  posting: Posting;
  worth: number;
  words: string[];
}

/** Makes an empty lexical index in memory. */
export function createLexicalIndex(): LexicalIndex {
  return new MemoryIndex();
}

class MemoryIndex implements LexicalIndex {
  readonly #termOf = createTermReader();
  readonly #names = createNameIndex();
  readonly #words = new WordStore();
  readonly #slots = new Map<string, number>();
  readonly #ids: string[] = [];
  readonly #freeSlots: number[] = [];

  get size(): number {
    return this.#slots.size;
  }

  put(document: SearchDocument): void {
    const counted = countTerms(document, this.#termOf);
    this.remove(document.id);
    const slot = this.#freeSlots.pop() ?? this.#ids.length;
    this.#slots.set(document.id, slot);
    this.#ids[slot] = document.id;
    this.#names.put(slot, document.name);
    this.#words.put(slot, counted);
  }

  remove(id: string): void {
    const slot = this.#slots.get(id);
    if (slot === undefined) return;
    this.#words.remove(slot);
    this.#names.remove(slot);
    this.#slots.delete(id);
    this.#freeSlots.push(slot);
  }

  search(query: string, limit: number, accept: (id: string) => boolean = () => true): Hit[] {
    if (!(limit >= 1)) return [];
    const asked = readQuery(query, this.#termOf);
    const hits = this.#searchNamesAndWords(query, asked, limit, accept);
    if (hits.length > 0) return hits;
    const guessed = this.#guess(asked);
    return this.#best(this.#score(guessed), limit, accept).map(({ id, score, slot }) => ({
      id,
      score,
      matched: matchedWords(guessed, slot),
      why: 'similar',
    }));
  }

  possibleScore(query: string): number {
    const worths = readQuery(query, this.#termOf).map(({ term, count }) => this.#worth(term) * Math.sqrt(count));
    const counted = worths.sort((a, b) => b - a).slice(0, maxQueryTerms);
    return saturated * counted.reduce((sum, worth) => sum + worth, 0);
  }

  #searchNamesAndWords(query: string, asked: QueryTerm[], limit: number, accept: (id: string) => boolean): Hit[] {
    const named = this.#names.find(query);
    const wanted = this.#want(asked);
    const scores = this.#score(wanted);
    for (const [slot, isWhole] of named) scores[slot] = (scores[slot] as number) + tierPoints[tierOf(isWhole)];
    return this.#best(scores, limit, accept).map(({ id, score, slot }) => {
      const matched = matchedWords(wanted, slot);
      const why = tierOf(named.get(slot));
      return { id, score, matched: matched.length === 0 ? [query.trim()] : matched, why };
    });
  }

  #score(wanted: Wanted[]): Float64Array {
    return this.#words.score(wanted, this.#ids.length);
  }

  #best(scores: Float64Array, limit: number, accept: (id: string) => boolean) {
    const best = createBest(Math.floor(limit));
    for (let slot = 0; slot < scores.length; slot++) {
      const score = scores[slot] as number;
      if (score === 0) continue;
      const id = this.#ids[slot] as string;
      if (best.takes(score, id) && accept(id)) best.add(score, id, slot);
    }
    return best.kept;
  }

  /** The rarest terms of the query that occur at all, in the query's order. */
  #want(asked: QueryTerm[]): Wanted[] {
    const wanted = asked.flatMap(({ term, count, words }) => {
      const posting = this.#words.posting(term);
      return posting ? [{ posting, worth: this.#worth(term) * Math.sqrt(count), words }] : [];
    });
    if (wanted.length <= maxQueryTerms) return wanted;
    const rarest = new Set(wanted.toSorted((a, b) => a.posting.entries - b.posting.entries).slice(0, maxQueryTerms));
    return wanted.filter((one) => rarest.has(one));
  }

  /** Known terms spelled like those of the query, worth less the less alike they are. */
  #guess(asked: QueryTerm[]): Wanted[] {
    return asked.slice(0, maxMisspelled).flatMap(({ term, words }) =>
      this.#words.similarTerms(term, guessesPerWord).flatMap(([guess, similarity]) => {
        const posting = this.#words.posting(guess);
        return posting ? [{ posting, worth: this.#worth(guess) * similarity, words }] : [];
      }),
    );
  }

  #worth(term: string): number {
    return rarity(this.size, this.#words.posting(term)?.entries ?? 0);
  }
}

function matchedWords(wanted: Wanted[], slot: number): string[] {
  return [...new Set(wanted.filter(({ posting }) => hasSlot(posting, slot)).flatMap(({ words }) => words))];
}

/** The tier of a hit whose name is the query (true), begins with it (false) or does neither. */
function tierOf(isWholeName: boolean | undefined): Why {
  if (isWholeName === undefined) return 'words';
  return isWholeName ? 'exact_name' : 'prefix';
}
