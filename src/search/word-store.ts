import { fields, fieldWeights, occurrenceWeight, saturate } from './bm25f.ts';
import type { CountedDocument } from './document.ts';
import { fieldsPerSlot, insertSlot, type Posting, removeSlot } from './postings.ts';
import { createSpellingIndex, type SpellingIndex } from './trigrams.ts';

const weights = fields.map((field) => fieldWeights[field]);

/** Which terms occur where, and how long fields are: what BM25F is computed from. Entries are numbered by slot. */
export class WordStore {
  readonly #postings = new Map<string, Posting>();
  readonly #terms = new Map<number, string[]>();
  /** By slot * 8 + field, as in the postings. */
  readonly #lengths: number[] = [];
  readonly #totalLengths = fields.map(() => 0);
  readonly #filled = fields.map(() => 0);
  #spelling: SpellingIndex | undefined;

  /** Where the term occurs, if anywhere. */
  posting(term: string): Posting | undefined {
    return this.#postings.get(term);
  }

  /** Puts an entry into a slot that is empty. */
  put(slot: number, { countsByTerm, lengths }: CountedDocument): void {
    this.#terms.set(slot, [...countsByTerm.keys()]);
    for (const [term, counts] of countsByTerm) insertSlot(this.#postingOf(term), slot, counts);
    lengths.forEach((length, field) => {
      this.#setLength(slot, field, length);
    });
  }

  /** Empties a slot. */
  remove(slot: number): void {
    for (const term of this.#terms.get(slot) ?? []) this.#removeTerm(term, slot);
    this.#terms.delete(slot);
    fields.forEach((_, field) => {
      this.#setLength(slot, field, 0);
    });
  }

  /** Known terms spelled like the given one; the first such question costs a pass over all terms. */
  similarTerms(term: string, limit: number): [term: string, similarity: number][] {
    this.#spelling ??= createSpellingIndex(this.#postings.keys());
    return this.#spelling.similar(term, limit);
  }

  /** The BM25F of every slot for terms of the given worth (rarity times query weight). */
  score(wanted: readonly { posting: Posting; worth: number }[], slots: number): Float64Array {
    const scores = new Float64Array(slots);
    const means = this.#totalLengths.map((total, field) => total / Math.max(1, this.#filled[field] as number));
    for (const { posting, worth } of wanted) this.#scoreTerm(posting, worth, means, scores);
    return scores;
  }

  /** The hot loop: one term's occurrences are summed over the fields of an entry and then saturated once. */
  #scoreTerm({ keys, counts }: Posting, worth: number, means: readonly number[], scores: Float64Array): void {
    let at = 0;
    while (at < keys.length) {
      const slot = Math.floor((keys[at] as number) / fieldsPerSlot);
      const end = (slot + 1) * fieldsPerSlot;
      let occurrences = 0;
      for (; at < keys.length && (keys[at] as number) < end; at++) {
        const key = keys[at] as number;
        const field = key % fieldsPerSlot;
        const one = occurrenceWeight(weights[field] as number, this.#lengths[key] as number, means[field] as number);
        occurrences += one * (counts[at] as number);
      }
      scores[slot] = (scores[slot] as number) + worth * saturate(occurrences);
    }
  }

  /** Means are over the entries that have the field: one that few entries fill in must not count as too long in those. */
  #setLength(slot: number, field: number, length: number): void {
    const key = slot * fieldsPerSlot + field;
    const before = this.#lengths[key] ?? 0;
    this.#lengths[key] = length;
    this.#totalLengths[field] = (this.#totalLengths[field] as number) + length - before;
    this.#filled[field] = (this.#filled[field] as number) + Number(length > 0) - Number(before > 0);
  }

  #postingOf(term: string): Posting {
    const known = this.#postings.get(term);
    if (known) return known;
    const posting: Posting = { keys: [], counts: [], entries: 0 };
    this.#postings.set(term, posting);
    this.#spelling?.add(term);
    return posting;
  }

  #removeTerm(term: string, slot: number): void {
    const posting = this.#postings.get(term);
    if (!posting) return;
    removeSlot(posting, slot);
    if (posting.entries > 0) return;
    this.#postings.delete(term);
    this.#spelling?.remove(term);
  }
}
