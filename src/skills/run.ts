import { randomInt } from 'node:crypto';
import { annotationsOf, type Tool, type ToolContext } from '../catalog/tool.ts';
import type { Outcome } from '../contracts.ts';
import type { Manifest } from '../library/kind.ts';
import type { Log } from '../log.ts';
import type { Program, Sandbox } from '../sandbox/sandbox.ts';
import { readBlob } from '../store/blobs.ts';
import type { Cache } from '../store/cache.ts';
import type { Database } from '../store/database.ts';
import { answerOf, ownerOf, toProgram } from './host.ts';

export interface SkillParts {
  database: Database;
  /** For the texts of versions. */
  texts: Cache;
  /** The sandbox, started at first use. */
  sandbox: () => Sandbox;
  log: Log;
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
    run: async (input, ctx) => runSkill(parts, manifest, await load(), input, ctx),
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
  { sandbox, log }: SkillParts,
  { name, limits }: Manifest,
  program: Program,
  input: unknown,
  ctx: ToolContext,
): Promise<Outcome> {
  const result = await sandbox().run({
    id: ctx.callId,
    owner: ownerOf(ctx.request.principal),
    program,
    input,
    limits,
    now: Date.now(),
    seed: randomInt(2 ** 32),
    callTool: async (tool, argument) => answerOf(tool, await ctx.call(tool, argument)),
    progress: ctx.progress,
    signal: ctx.signal,
  });
  if (result.logs.length > 0) log.debug({ tool: name, callId: ctx.callId, logs: result.logs }, 'a skill logged');
  return result.ok ? { status: 'done', value: result.value } : { status: 'failed', error: result.error };
}
