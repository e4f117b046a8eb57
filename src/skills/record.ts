import { toWeaverError } from '../errors.ts';
import { byteLength } from '../json.ts';
import { maxRecordingBytes, type Recorder } from '../recordings/recorder.ts';
import type { Ending, RecordedCall, RecordedRun, Recording } from '../recordings/recording.ts';
import type { Job, JobResult, Sandbox } from '../sandbox/sandbox.ts';

/** Runs a job, and keeps what went into it and came out where runs are recorded. */
export async function runRecorded(
  recorder: Recorder | undefined,
  of: RecordedRun,
  sandbox: Sandbox,
  job: Job,
): Promise<JobResult> {
  if (!recorder) return sandbox.run(job);
  const noted = recorded(job);
  const result = await sandbox.run(noted.job);
  const { recording, bytes } = noted.end(result);
  if (!isReproducible(result)) return result;
  if (recording) recorder.keep(of, recording, bytes);
  else recorder.refuse(of);
  return result;
}

// What its caller, a time limit or the machine ended would end otherwise the next time.
function isReproducible(result: JobResult): boolean {
  if (result.ok) return true;
  const { code, details } = result.error;
  return !['cancelled', 'busy', 'unavailable'].includes(code) && details?.limit !== 'wall';
}

interface Noted {
  /** The same job; what it asks the host and what it hears is noted down. */
  job: Job;
  /** What was noted by then; no recording where that is over `maxBytes`. */
  end(result: JobResult): { recording?: Recording; bytes: number };
}

/** A job that is noted down while it runs, in texts: what happens to a value later does not change them. */
export function recorded(job: Job, maxBytes: number = maxRecordingBytes): Noted {
  const input = JSON.stringify(job.input) ?? 'null';
  const calls: RecordedCall[] = [];
  let [bytes, answers, isOver] = [byteLength(input), 0, false];
  const isNoting = (): boolean => !isOver && bytes <= maxBytes;
  const count = (text: string): void => {
    bytes += byteLength(text);
    // Nothing is kept of what is too large, from here on.
    if (bytes > maxBytes) calls.length = 0;
  };
  const ask = (name: string, argument: unknown): RecordedCall => {
    const call: RecordedCall = { name, input: JSON.stringify(argument) ?? 'null' };
    calls.push(call);
    count(name + call.input);
    return call;
  };
  const answer = (call: RecordedCall | undefined, what: Pick<RecordedCall, 'value' | 'error'>): void => {
    if (!call || !isNoting()) return;
    Object.assign(call, { order: answers++, ...what });
    count(what.value ?? JSON.stringify(what.error));
  };
  return {
    job: {
      ...job,
      async callTool(name, argument, signal) {
        const call = isNoting() ? ask(name, argument) : undefined;
        try {
          const value = await job.callTool(name, argument, signal);
          if (call) answer(call, { value: JSON.stringify(value) ?? 'null' });
          return value;
        } catch (thrown) {
          answer(call, { error: toWeaverError(thrown).toJSON() });
          throw thrown;
        }
      },
    },
    end(result) {
      const ending: Ending = result.ok ? { value: result.value } : { error: result.error.toJSON() };
      if (isNoting()) count(JSON.stringify(ending));
      const isWhole = isNoting();
      // What the host answers from here on, nobody hears.
      isOver = true;
      return { ...(isWhole && { recording: { input, now: job.now, seed: job.seed, calls, ending } }), bytes };
    },
  };
}
