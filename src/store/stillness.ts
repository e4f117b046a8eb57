/** What has been seen of others, look by look. */
export interface Stillness {
  /**
   * Takes what each thing looks like now, and gives the keys of those that have not changed for `stillMs`. What is not
   * given any more is forgotten.
   */
  look(now: ReadonlyMap<string, string>): Set<string>;
}

const looksAtLeast = 4;

/**
 * Tells a process that has died from one that lives by watching it: clocks of two machines differ, and the time of day
 * may jump by a day, so nothing that somebody wrote down is compared with the time. Only time in which this process
 * looked counts, so that one that was stopped itself for a while does not take all others for dead.
 */
export function createStillness(stillMs: number, clock: () => number = () => performance.now()): Stillness {
  const seen = new Map<string, { looks: string; stillFor: number }>();
  let lookedAt = clock();
  return {
    look(now) {
      const at = clock();
      const passed = Math.min(at - lookedAt, stillMs / looksAtLeast);
      lookedAt = at;
      for (const key of seen.keys()) if (!now.has(key)) seen.delete(key);
      const still = new Set<string>();
      for (const [key, looks] of now) {
        const before = seen.get(key);
        const stillFor = before?.looks === looks ? before.stillFor + passed : 0;
        seen.set(key, { looks, stillFor });
        if (stillFor >= stillMs) still.add(key);
      }
      return still;
    },
  };
}
