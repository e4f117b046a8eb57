import { compileValidator } from '../catalog/validator.ts';
import { WeaverError } from '../errors.ts';
import { isSameJson } from '../json.ts';
import type { Manifest } from '../library/kind.ts';
import { sealedManifest } from '../library/seal.ts';
import { getVersion } from '../library/table.ts';
import type { Ending, ErrorJson, Recording, RecordingInfo } from '../recordings/recording.ts';
import type { Engine, JobResult, Sandbox } from '../sandbox/sandbox.ts';
import { getBlob } from '../store/blobs.ts';
import type { Database } from '../store/database.ts';
import { toProgram } from './host.ts';
import { type Answers, type AskedCall, createAnswers } from './replay-answers.ts';

export interface ReplayParts {
  database: Pick<Database, 'read'>;
  sandbox: (engine: Engine) => Sandbox;
}

export interface OpenedRecording {
  info: RecordingInfo;
  recording: Recording;
}

/** What a version did with a recording. */
export type Replayed =
  | { result: 'equal' }
  | {
      result: 'changed';
      before: Ending;
      after: Ending;
      /** Calls that were made when it was recorded, and are not any more. */
      notMade: AskedCall[];
    }
  | {
      result: 'failed';
      reason: string;
      /** The call that the recording has no answer to. */
      call?: AskedCall;
    };

/**
 * Runs a version, by default the recorded one, on what went into a recorded run. It reaches nothing: what it asks the host
 * is answered from the recording; clock and seed are those of the run.
 * @throws WeaverError `not_found` for a version that is not there, `seal_broken`, `conflict` when the recorded version is
 * another one by now, `cancelled`.
 */
export async function replay(
  parts: ReplayParts,
  { info, recording }: OpenedRecording,
  { version = info.version, signal }: { version?: string | undefined; signal: AbortSignal },
): Promise<Replayed> {
  const { read } = parts.database;
  const recorded = await getVersion(read, info.tenant, info.tool, info.version);
  const isSame = version === info.version;
  const found = isSame ? recorded : await getVersion(read, info.tenant, info.tool, version);
  if (!found) throw noVersion(info, version);
  if (isSame && found.seal !== info.seal) throw otherVersion(info);
  const manifest = sealedManifest(found);
  const before = await onTheRoad(recorded?.seal === info.seal ? recorded.manifest : undefined, recording.ending);
  const refused = await refusal(manifest, recording);
  if (refused) return compare(before, refused, []);
  const { result, answers } = await runOn(parts, info.tenant, manifest, recording, signal);
  if (signal.aborted) throw new WeaverError('cancelled', `The replay of ${info.run} was stopped.`);
  if (answers.missing) return { result: 'failed', ...answers.missing };
  if (!result.ok && ofTheMachine.includes(result.error.code)) return { result: 'failed', reason: result.error.message };
  const after = result.ok ? { value: result.value } : { error: result.error.toJSON() };
  return compare(before, await onTheRoad(manifest, after), answers.unasked());
}

const ofTheMachine: readonly string[] = ['busy', 'unavailable', 'not_supported', 'cancelled', 'internal'];

async function runOn(
  { database, sandbox }: ReplayParts,
  tenant: string,
  manifest: Manifest,
  { input, now, seed, calls }: Recording,
  signal: AbortSignal,
): Promise<{ result: JobResult; answers: Answers }> {
  const program = toProgram(manifest, await getBlob(database.read, tenant, manifest.compiled));
  const stop = new AbortController();
  const answers = createAnswers(calls, manifest.limits.cpuMs, () => stop.abort());
  const result = await sandbox(manifest.engine).run({
    id: 'replay',
    owner: `${tenant}/replay`,
    program,
    input: JSON.parse(input),
    limits: manifest.limits,
    now,
    seed,
    callTool: answers.callTool,
    signal: AbortSignal.any([signal, stop.signal]),
  });
  answers.close();
  return { result, answers };
}

/** What the road says to an input that a version does not take; it never comes to a run then. */
async function refusal({ name, input }: Manifest, recording: Recording): Promise<Ending | undefined> {
  const problems = (await compileValidator(input, 'input'))(JSON.parse(recording.input));
  return problems.length > 0 ? { error: { code: 'bad_input', message: `${name}: ${problems.join('; ')}` } } : undefined;
}

/** What the road makes of the end of a run: a value that its version does not allow is an error. */
async function onTheRoad(manifest: Manifest | undefined, ending: Ending): Promise<Ending> {
  if (!manifest?.output || 'error' in ending) return ending;
  const problems = (await compileValidator(manifest.output, 'output'))(ending.value);
  if (problems.length === 0) return ending;
  return { error: { code: 'bad_output', message: `${manifest.name}: ${problems.join('; ')}` } };
}

function compare(before: Ending, after: Ending, notMade: AskedCall[]): Replayed {
  const isEqual = notMade.length === 0 && isSameJson(comparable(before), comparable(after));
  return isEqual ? { result: 'equal' } : { result: 'changed', before, after, notMade };
}

const comparable = (ending: Ending): unknown => ('error' in ending ? placeless(ending.error) : ending);

// The line in which code throws says nothing about what it does.
function placeless({ code, message, details: { line, ...details } = {} }: ErrorJson): unknown {
  return { code, message: line === undefined ? message : message.replace(/ \(line \d+\)$/, ''), details };
}

const noVersion = ({ tool }: RecordingInfo, version: string): WeaverError =>
  new WeaverError('not_found', `${tool} has no version ${JSON.stringify(version.slice(0, 60))}.`, {
    hint: `toolweaver versions ${tool} shows them.`,
  });

const otherVersion = ({ tool, version }: RecordingInfo): WeaverError =>
  new WeaverError('conflict', `${tool} ${version} is not what it was when this was recorded.`, {
    hint: 'Was the database restored since? Name the version to run: --version.',
  });
