/** Room for fields in a key: a key is slot * 8 + field, a small integer up to 268 million entries. */
export const fieldsPerSlot = 8;

/** Where one term occurs: keys ascending, so the fields of one entry stand together, and the count at each. */
export interface Posting {
  readonly keys: number[];
  readonly counts: number[];
  /** How many entries have the term. */
  entries: number;
}

/** The first position whose key is at least `key`. */
function lowerBound(keys: readonly number[], key: number): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] as number) < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** True when the entry in `slot` has the posting's term. */
export function hasSlot({ keys }: Posting, slot: number): boolean {
  const key = keys[lowerBound(keys, slot * fieldsPerSlot)];
  return key !== undefined && key < (slot + 1) * fieldsPerSlot;
}

/** Adds one entry's occurrences, given by field number, to the posting; the entry must not be in it. */
export function insertSlot(posting: Posting, slot: number, countByField: readonly number[]): void {
  const at = lowerBound(posting.keys, slot * fieldsPerSlot);
  const keys: number[] = [];
  const counts: number[] = [];
  countByField.forEach((count, field) => {
    if (count === 0) return;
    keys.push(slot * fieldsPerSlot + field);
    counts.push(count);
  });
  posting.keys.splice(at, 0, ...keys);
  posting.counts.splice(at, 0, ...counts);
  posting.entries++;
}

/** Takes one entry out of the posting. */
export function removeSlot(posting: Posting, slot: number): void {
  const from = lowerBound(posting.keys, slot * fieldsPerSlot);
  const size = lowerBound(posting.keys, (slot + 1) * fieldsPerSlot) - from;
  if (size === 0) return;
  posting.keys.splice(from, size);
  posting.counts.splice(from, size);
  posting.entries--;
}
