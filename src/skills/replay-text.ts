import { canonicalJson } from '../json.ts';
import type { Ending } from '../recordings/recording.ts';
import type { Redact } from '../recordings/redact.ts';
import type { Replayed } from './replay.ts';
import type { AskedCall } from './replay-answers.ts';

const diffMs = 2_000;
const shownLines = 200;

/** What a replay came to, fit to be shown. */
export interface ShownReplay {
  result: Replayed['result'];
  reason?: string;
  call?: AskedCall;
  /** A unified patch from the recorded end to the one of now. */
  diff?: string;
  not_made?: AskedCall[];
}

/** A replay with everything in it redacted. */
export async function showReplay(replayed: Replayed, redact: Redact): Promise<ShownReplay> {
  const shown = (call: AskedCall): AskedCall => redact(call) as AskedCall;
  const { result } = replayed;
  if (result === 'equal') return { result };
  if (result === 'failed') {
    const { reason, call } = replayed;
    return { result, reason: String(redact(reason)), ...(call && { call: shown(call) }) };
  }
  const { before, after, notMade } = replayed;
  const diff = await diffOf(before, after, redact);
  return { result, ...(diff !== undefined && { diff }), ...(notMade.length > 0 && { not_made: notMade.map(shown) }) };
}

async function diffOf(before: Ending, after: Ending, redact: Redact): Promise<string | undefined> {
  if (canonicalJson(before) === canonicalJson(after)) return undefined;
  const [old, now] = [pretty(redact(before)), pretty(redact(after))];
  if (old === now) return 'They differ only in what is not shown here.';
  const { createTwoFilesPatch, FILE_HEADERS_ONLY } = await import('diff');
  const options = { context: 3, timeout: diffMs, headerOptions: FILE_HEADERS_ONLY };
  const patch = createTwoFilesPatch('recorded', 'replayed', old, now, '', '', options);
  return patch === undefined ? `${old}── replayed ──\n${now}` : patch.trimEnd();
}

// With keys in order, as they count for nothing.
const pretty = (ending: unknown): string => `${JSON.stringify(JSON.parse(canonicalJson(ending)), null, 2)}\n`;

/** A replay as a person reads it. */
export function replayText(
  { result, reason, call, diff, not_made: notMade = [] }: ShownReplay,
  isWhole: boolean,
): string {
  const lines = diff?.split('\n') ?? [];
  const some = isWhole ? lines : lines.slice(0, shownLines);
  return [
    `${result}${reason === undefined ? '' : `: ${reason}`}`,
    ...(call ? [`  ${callText(call)}`] : []),
    ...some,
    ...(some.length < lines.length ? [`… ${lines.length - some.length} more lines; --whole shows them`] : []),
    ...notMade.map((one) => `no longer calls ${callText(one)}`),
  ].join('\n');
}

const callText = ({ name, input }: AskedCall): string => `${name} ${JSON.stringify(input)}`;
