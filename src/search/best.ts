/** Keeps the best few of many candidates: higher scores first, equal ones by id. */
export interface Best {
  /** True when a candidate of that score and id would be kept. */
  takes(score: number, id: string): boolean;
  add(score: number, id: string, slot: number): void;
  /** What was kept, best first. */
  readonly kept: readonly { score: number; id: string; slot: number }[];
}

/** Makes room for the `limit` best candidates. */
export function createBest(limit: number): Best {
  const kept: { score: number; id: string; slot: number }[] = [];
  const isBefore = (a: { score: number; id: string }, score: number, id: string) =>
    a.score > score || (a.score === score && a.id < id);
  return {
    kept,
    takes(score, id) {
      const last = kept[limit - 1];
      return limit > 0 && (last === undefined || !isBefore(last, score, id));
    },
    add(score, id, slot) {
      let at = kept.length;
      while (at > 0 && !isBefore(kept[at - 1] as { score: number; id: string }, score, id)) at--;
      kept.splice(at, 0, { score, id, slot });
      if (kept.length > limit) kept.pop();
    },
  };
}
