import { toWeaverError, type WeaverError } from '../errors.ts';
import { openDeno } from './deno.ts';
import { type DenoPlace, findDeno } from './find-deno.ts';
import { findPython } from './find-python.ts';
import { failed } from './host-job.ts';
import { openPython, type PythonPlace } from './python.ts';
import { openQuickJs } from './quickjs.ts';
import type { Engine, Sandbox } from './sandbox.ts';

/** The engines of this machine, each started at its first use. */
export interface Engines {
  of(engine: Engine): Sandbox;
  /** Why an engine cannot be used here; undefined when it can. Asks the machine once. */
  problem(engine: Engine): Promise<WeaverError | undefined>;
  /** Where Deno is, for doctor. @throws WeaverError `not_supported`. */
  deno(): Promise<DenoPlace>;
  /** Where Python is, for doctor. @throws WeaverError `not_supported`. */
  python(): Promise<PythonPlace>;
  close(): Promise<void>;
}

interface EngineOptions {
  threads?: number | undefined;
  denoPath?: string | undefined;
  pythonPath?: string | undefined;
}

export function createEngines({ threads, denoPath, pythonPath }: EngineOptions): Engines {
  let quickJs: Sandbox | undefined;
  const deno = createFound('deno', () => findDeno(denoPath), openDeno);
  const python = createFound('python', () => findPython(pythonPath), openPython);
  return {
    of(engine) {
      if (engine === 'deno') return deno.sandbox;
      if (engine === 'python') return python.sandbox;
      quickJs ??= openQuickJs(threads === undefined ? {} : { threads });
      return quickJs;
    },
    async problem(engine) {
      if (engine === 'quickjs') return undefined;
      const find: () => Promise<unknown> = engine === 'deno' ? deno.find : python.find;
      return find().then(
        () => undefined,
        (error: unknown) => toWeaverError(error),
      );
    },
    deno: deno.find,
    python: python.find,
    async close() {
      await quickJs?.close();
      await deno.sandbox.close();
      await python.sandbox.close();
    },
  };
}

interface Found<Place> {
  find(): Promise<Place>;
  sandbox: Sandbox;
}

/** An engine that is looked for, once, when it is first needed. */
function createFound<Place>(engine: Engine, look: () => Promise<Place>, open: (place: Place) => Sandbox): Found<Place> {
  let place: Promise<Place> | undefined;
  let opened: Promise<Sandbox> | undefined;
  let isClosed = false;
  const find = (): Promise<Place> => {
    place ??= look();
    return place;
  };
  const sandbox: Sandbox = {
    engine,
    async run(job) {
      try {
        opened ??= find().then(open);
        const inner = await opened;
        // Closed while it was looked for.
        if (isClosed) await inner.close();
        return await inner.run(job);
      } catch (error) {
        return failed(toWeaverError(error));
      }
    },
    async close() {
      isClosed = true;
      await (await opened?.catch(() => undefined))?.close();
    },
  };
  return { find, sandbox };
}
