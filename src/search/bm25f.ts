/** The fields of an entry, in the order of their numbers, and what a word found in one counts. */
export const fieldWeights = {
  name: 3,
  description: 1,
  parameters: 0.5,
  origin: 1,
  // A tag was chosen to be found, like a word of the description; many tools share it, so it does not count as a name.
  tags: 1,
  // use_when and example requests: one field of 0.5 does as well as documents of their own.
  examples: 0.5,
  code: 0.2,
} as const;

export type Field = keyof typeof fieldWeights;

export const fields = Object.keys(fieldWeights) as Field[];

const k1 = 1.2;
const b = 0.75;

/** What a word is worth that `containing` of `total` entries have (Robertson and Spärck Jones, never negative). */
export function rarity(total: number, containing: number): number {
  return Math.log(1 + (total - containing + 0.5) / (containing + 0.5));
}

/** How much one occurrence in a field counts, given the field's length and the mean length of such fields. */
export function occurrenceWeight(fieldWeight: number, length: number, meanLength: number): number {
  return fieldWeight / (1 - b + (b * length) / meanLength);
}

/** The part of a word's worth that its occurrences earn, summed over fields first: from 0 to k1 + 1 (BM25F). */
export function saturate(occurrences: number): number {
  return ((k1 + 1) * occurrences) / (k1 + occurrences);
}

/** What `saturate` approaches. */
export const saturated = k1 + 1;
