import { findingLine } from '../catalog/finding.ts';
import type { Finding } from '../contracts.ts';
import { shortText } from '../text/clean.ts';
import { exitWarning, type ReachChange } from './reach.ts';
import type { PartDiff, ReplayCounts, ReviewView } from './review-view.ts';

const maxWords = 2_000;

/** A review as a person reads it: what, why, the differences part by part, findings, who depends on it. */
export async function reviewText({
  review,
  against,
  risk,
  reach,
  parts,
  dependents,
  replay,
}: ReviewView): Promise<string> {
  const { createTwoFilesPatch } = await import('diff');
  const { id, subject, state, evidence, openedAt, openedBy, decisions } = review;
  const findings = Array.isArray(evidence.findings) ? (evidence.findings as Finding[]) : [];
  const examples = Array.isArray(evidence.examples) ? (evidence.examples as { passed: boolean }[]) : [];
  return [
    `Review ${id} (${state}): ${subject.kind} of ${subject.name} ${subject.version}`,
    `why     ${String(evidence.why ?? '')}`,
    ...(evidence.reason === undefined ? [] : [`reason  ${oneLine(String(evidence.reason))}`]),
    `risk    ${risk}`,
    `seal    ${subject.seal}`,
    `opened  ${new Date(openedAt).toISOString()} by ${openedBy}`,
    `against ${against ?? 'nothing: no version is active'}`,
    `checks  ${examples.filter((one) => one.passed).length} of ${examples.length} examples passed`,
    `used by ${dependents.length === 0 ? 'nothing' : dependents.join(', ')}`,
    ...(replay ? [`replay  ${replayWords(replay)}, of the latest recorded runs of ${against}`] : []),
    ...reachLines(reach),
    ...(findings.length === 0 ? [] : ['', 'Findings:', ...findings.map(findingLine)]),
    ...decisions.map(
      (one) =>
        `decided ${one.decision} by ${one.principal} (${one.how})${one.comment ? `: ${oneLine(one.comment)}` : ''}`,
    ),
    '',
    ...parts.map((part) => partText(part, against === undefined ? undefined : createTwoFilesPatch)),
  ].join('\n');
}

const replayWords = ({ skipped, ...counts }: ReplayCounts): string =>
  Object.entries(skipped > 0 ? { ...counts, skipped } : counts)
    .map(([how, count]) => `${count} ${how}`)
    .join(', ');

// Everything that it may do, what is new first: a reviewer says yes to all of it.
function reachLines({ added, removed, kept }: ReachChange): string[] {
  const lines = [
    ...added.map((words) => `+ ${words}`),
    ...removed.map((words) => `- no longer ${words}`),
    ...kept.map((words) => `  ${words}`),
  ];
  if (lines.length === 0) return ['reach   nothing beside its input'];
  const isExit = [...added, ...kept].some((words) => words.startsWith('sends '));
  return ['', 'Reach (+ is new; never the environment):', ...lines, ...(isExit ? [exitWarning] : [])];
}

type MakePatch = typeof import('diff').createTwoFilesPatch;

// What somebody wrote may not look like a line of ours.
const oneLine = (text: string): string => shortText(text, maxWords);

function partText({ part, before, after }: PartDiff, makePatch: MakePatch | undefined): string {
  // Set in, so that no text can pass for the heading of another part.
  if (!makePatch) return `── ${part} ──\n${after.replaceAll(/^/gm, '  ')}\n`;
  const patch = makePatch(part, part, before, after, 'active', 'proposed', { context: 3 });
  return `── ${part} ──\n${patch.split('\n').slice(1).join('\n')}`;
}
