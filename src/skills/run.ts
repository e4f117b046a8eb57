import { randomInt } from 'node:crypto';
import { annotationsOf, type Tool, type ToolContext } from '../catalog/tool.ts';
import type { Outcome, Progress } from '../contracts.ts';
import type { Manifest } from '../library/kind.ts';
import type { Log } from '../log.ts';
import type { Recorder } from '../recordings/recorder.ts';
import type { Engine, JobResult, Program, Sandbox } from '../sandbox/sandbox.ts';
import type { Mask } from '../secrets/mask.ts';
import { readBlob } from '../store/blobs.ts';
import type { Cache } from '../store/cache.ts';
import { maskError } from './fetch.ts';
import { answerOf, ownerOf, toProgram } from './host.ts';
import { openReach, type ReachParts } from './reach.ts';
import { runRecorded } from './record.ts';

export interface SkillParts extends ReachParts {
  /** For the texts of versions. */
  texts: Cache;
  /** The sandbox of an engine, started at first use. */
  sandbox: (engine: Engine) => Sandbox;
  log: Log;
  /** Where runs are recorded. */
  recorder?: Recorder | undefined;
}

interface Sealed {
  tenant: string;
  version: string;
  manifest: Manifest;
  seal: string;
}

/** The callable tool of a skill's version. Its code is loaded at the first call and checked against its seal. */
export function createSkillTool(parts: SkillParts, sealed: Sealed): Tool {
  const { tenant, manifest, version, seal } = sealed;
  const { risk, reach } = manifest;
  let program: Promise<Program> | undefined;
  const load = (): Promise<Program> => {
    program ??= loadProgram(parts, tenant, manifest).catch((error: unknown) => {
      // Not kept: after the database is restored the next call must look again.
      program = undefined;
      throw error;
    });
    return program;
  };
  return {
    name: manifest.name,
    kind: 'skill',
    title: manifest.title,
    description: manifest.description,
    input: manifest.input,
    ...(manifest.output && { output: manifest.output }),
    annotations: annotationsOf(risk, reach),
    version,
    needs: 'call',
    risk,
    seal,
    lock: manifest.lock,
    capabilities: manifest.capabilities,
    ...(reach && { reach }),
    words: { useWhen: manifest.useWhen, exampleRequests: manifest.exampleRequests, tags: manifest.tags },
    run: async (input, ctx) => runSkill(parts, sealed, await load(), input, ctx),
  };
}

// The manifest was held against the seal when it was read. All texts that it names are held against it, also those that
// only people read: a version runs as it was reviewed, or not at all.
async function loadProgram({ database, texts }: SkillParts, tenant: string, manifest: Manifest): Promise<Program> {
  const from = { db: database.read, cache: texts };
  const { compiled, source, examples } = manifest;
  for (const hash of [source, examples]) await readBlob(from, tenant, hash);
  return toProgram(manifest, await readBlob(from, tenant, compiled));
}

async function runSkill(
  parts: SkillParts,
  { tenant, version, seal, manifest }: Sealed,
  program: Program,
  input: unknown,
  ctx: ToolContext,
): Promise<Outcome> {
  const { name, limits, engine } = manifest;
  const { bridge, mask } = await openReach(parts, manifest, ctx);
  const { callId, runId: run, request } = ctx;
  const about = { tenant, run, callId, tool: name, version, seal, engine, principal: request.principal.id };
  const result = await runRecorded(parts.recorder, about, parts.sandbox(engine), {
    id: ctx.callId,
    owner: ownerOf(ctx.request.principal),
    program,
    input,
    limits,
    now: Date.now(),
    seed: randomInt(2 ** 32),
    async callTool(tool, argument, signal) {
      if (bridge.has(tool)) return bridge.call(tool, argument, signal);
      return answerOf(tool, await ctx.call(tool, argument));
    },
    progress: mask ? (one) => ctx.progress(mask.json(one) as Progress) : ctx.progress,
    signal: ctx.signal,
  });
  return outcomeOf(parts, { name, callId: ctx.callId, mask }, result);
}

interface Ended {
  name: string;
  callId: string;
  mask: Mask | undefined;
}

// What a server echoes, code may hand on: no secret that it was granted leaves with what it says.
function outcomeOf({ log }: SkillParts, { name, callId, mask }: Ended, result: JobResult): Outcome {
  const clean = <T>(value: T): T => (mask ? (mask.json(value) as T) : value);
  if (result.logs.length > 0) log.debug({ tool: name, callId, logs: clean(result.logs) }, 'a skill logged');
  if (result.ok) return { status: 'done', value: clean(result.value) };
  return { status: 'failed', error: mask ? maskError(mask, result.error) : result.error };
}
