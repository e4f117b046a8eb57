import { foldName } from './tokenise.ts';

const bucketChars = 2;
const maxNameChars = 200;

/** Finds names by what they begin with, ignoring case and separators. */
export interface NameIndex {
  put(slot: number, name: string): void;
  remove(slot: number): void;
  /** The slots whose name begins with the text; true where that is the whole name. A lone letter finds only itself. */
  find(text: string): Map<number, boolean>;
}

/** Makes an empty name index; names lie in buckets by their first two letters, so a change touches one bucket. */
export function createNameIndex(): NameIndex {
  const folded = new Map<number, string>();
  const buckets = new Map<string, Set<number>>();

  return {
    put(slot, name) {
      const text = foldName(name);
      const bucket = buckets.get(text.slice(0, bucketChars));
      folded.set(slot, text);
      if (bucket) bucket.add(slot);
      else buckets.set(text.slice(0, bucketChars), new Set([slot]));
    },

    remove(slot) {
      const key = (folded.get(slot) ?? '').slice(0, bucketChars);
      const bucket = buckets.get(key);
      folded.delete(slot);
      bucket?.delete(slot);
      if (bucket?.size === 0) buckets.delete(key);
    },

    find(text) {
      const found = new Map<number, boolean>();
      const wanted = text.length > maxNameChars ? '' : foldName(text);
      if (wanted === '') return found;
      for (const slot of buckets.get(wanted.slice(0, bucketChars)) ?? []) {
        const name = folded.get(slot) ?? '';
        if (name.startsWith(wanted)) found.set(slot, name === wanted);
      }
      return found;
    },
  };
}
