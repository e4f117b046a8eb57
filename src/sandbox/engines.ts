import { toWeaverError, type WeaverError } from '../errors.ts';
import { openDeno } from './deno.ts';
import { type DenoPlace, findDeno } from './find-deno.ts';
import { failed } from './host-job.ts';
import { openQuickJs } from './quickjs.ts';
import type { Engine, Sandbox } from './sandbox.ts';

/** The engines of this machine, each started at its first use. */
export interface Engines {
  of(engine: Engine): Sandbox;
  /** Why an engine cannot be used here; undefined when it can. Asks the machine once. */
  problem(engine: Engine): Promise<WeaverError | undefined>;
  /** Where Deno is, for doctor. @throws WeaverError `not_supported`. */
  deno(): Promise<DenoPlace>;
  close(): Promise<void>;
}

interface EngineOptions {
  threads?: number | undefined;
  denoPath?: string | undefined;
}

export function createEngines({ threads, denoPath }: EngineOptions): Engines {
  let quickJs: Sandbox | undefined;
  let place: Promise<DenoPlace> | undefined;
  let deno: Promise<Sandbox> | undefined;
  let isClosed = false;
  const find = (): Promise<DenoPlace> => (place ??= findDeno(denoPath));
  const open = (): Promise<Sandbox> => (deno ??= find().then(openDeno));
  const later: Sandbox = {
    engine: 'deno',
    async run(job) {
      try {
        const sandbox = await open();
        // Closed while it was looked for.
        if (isClosed) await sandbox.close();
        return await sandbox.run(job);
      } catch (error) {
        return failed(toWeaverError(error));
      }
    },
    close: async () => (await deno?.catch(() => undefined))?.close(),
  };
  return {
    of(engine) {
      if (engine === 'deno') return later;
      quickJs ??= openQuickJs(threads === undefined ? {} : { threads });
      return quickJs;
    },
    async problem(engine) {
      if (engine === 'quickjs') return undefined;
      return find().then(
        () => undefined,
        (error: unknown) => toWeaverError(error),
      );
    },
    deno: find,
    async close() {
      isClosed = true;
      await quickJs?.close();
      await later.close();
    },
  };
}
