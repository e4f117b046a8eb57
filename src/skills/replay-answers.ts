import { splitName } from '../catalog/catalog.ts';
import { WeaverError } from '../errors.ts';
import { canonicalJson } from '../json.ts';
import type { RecordedCall } from '../recordings/recording.ts';
import type { Job } from '../sandbox/sandbox.ts';

/** A call of the host, as code asked for it. */
export interface AskedCall {
  name: string;
  input: unknown;
}

/** The host of a replay: it has nothing but what was answered when the run was recorded. */
export interface Answers {
  callTool: Job['callTool'];
  /** The first call that was not answered then, and what is known of it. */
  readonly missing: { reason: string; call: AskedCall } | undefined;
  /** Calls that were made then, and not now. */
  unasked(): AskedCall[];
  close(): void;
}

interface Waiting {
  call: RecordedCall;
  resolve(value: unknown): void;
  reject(error: WeaverError): void;
}

// Code that makes the calls of that time makes the next one within a moment of the last answer.
const quietMs = 200;
const marginMs = 1_000;

/**
 * Answers calls from a recording, each by name and input, in the order in which their answers came then: on that the
 * result of code may depend. Code that makes its calls in another order gets each answer at once.
 * @param cpuMs how long the code may compute without a sign of life.
 * @param onMissing hears of the first call that the recording has no answer to. It never gets one.
 */
export function createAnswers(calls: readonly RecordedCall[], cpuMs: number, onMissing: () => void): Answers {
  const left = new Map<string, RecordedCall[]>();
  for (const call of calls) {
    const key = keyOf(call.name, JSON.parse(call.input));
    left.set(key, [...(left.get(key) ?? []), call]);
  }
  const waiting: Waiting[] = [];
  let [given, isFree]: [number, boolean] = [0, false];
  let missing: Answers['missing'];
  let timer: NodeJS.Timeout | undefined;
  let turn: NodeJS.Immediate | undefined;

  const miss = (reason: string, call: AskedCall): void => {
    missing ??= { reason, call };
    onMissing();
  };
  const isNext = ({ call: { order } }: Waiting): boolean => order !== undefined && (isFree || order === given);
  // One in a turn, so that the next can on no way to the code overtake it.
  const giveSoon = (): void => {
    clearTimeout(timer);
    turn ??= setImmediate(give);
  };
  const give = (): void => {
    turn = undefined;
    const at = waiting.findIndex(isNext);
    const [next] = at < 0 ? [] : waiting.splice(at, 1);
    if (!next) return waitForMore();
    settle(next);
    given++;
    giveSoon();
  };
  const waitForMore = (): void => {
    const [first] = waiting;
    if (!first) return;
    if (waiting.some(({ call }) => call.order !== undefined)) timer = setTimeout(giveFreely, quietMs);
    else
      timer = setTimeout(miss, cpuMs + marginMs, 'the recorded run ended before this was answered', asked(first.call));
  };
  const giveFreely = (): void => {
    isFree = true;
    give();
  };
  return {
    get missing() {
      return missing;
    },
    callTool: (name, input) =>
      new Promise((resolve, reject) => {
        const call = left.get(keyOf(name, input))?.shift();
        if (!call) return miss('the recorded run did not make this call', { name, input });
        waiting.push({ call, resolve, reject });
        giveSoon();
      }),
    unasked: () => [...left.values()].flat().map(asked),
    close() {
      clearTimeout(timer);
      clearImmediate(turn);
    },
  };
}

// Which version of a tool answered is not asked: what is replayed is this code alone.
const keyOf = (name: string, input: unknown): string => canonicalJson([splitName(name).name, input]);

const asked = ({ name, input }: RecordedCall): AskedCall => ({ name, input: JSON.parse(input) });

function settle({ call: { value = 'null', error }, resolve, reject }: Waiting): void {
  if (!error) return resolve(JSON.parse(value));
  const { code, message, ...extras } = error;
  reject(new WeaverError(code, message, extras));
}
