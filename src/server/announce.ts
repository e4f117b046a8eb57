import { toWeaverError } from '../errors.ts';
import type { Log } from '../log.ts';

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

/** Says that a look at the library failed; of a newer database the database itself has said so, once. */
export function logLook(log: Log, error: unknown): void {
  if (toWeaverError(error).code !== 'database_newer') log.warn({ error }, 'the library could not be read');
}
