const coalesceMs = 100;

/** Runs `work` once for a tenant however often it is asked within a tenth of a second. */
export function coalesced(work: (tenant: string) => void) {
  const pending = new Map<string, NodeJS.Timeout>();
  return {
    soon(tenant: string): void {
      if (pending.has(tenant)) return;
      pending.set(
        tenant,
        setTimeout(() => {
          pending.delete(tenant);
          work(tenant);
        }, coalesceMs),
      );
    },
    cancel(): void {
      for (const timer of pending.values()) clearTimeout(timer);
    },
  };
}
