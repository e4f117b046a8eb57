import { checkDescription, checkName } from '../catalog/definition.ts';
import type { Finding } from '../contracts.ts';
import { findCredentials } from '../text/credentials.ts';
import { findTwins } from '../text/look-alike.ts';
import { credentialFinding, findPoison, twinFinding } from '../text/poison.ts';
import type { SkillDraft } from './draft.ts';

/** Checks the words by which a skill is found, but for its schemas. */
export function checkWords(draft: SkillDraft): Finding[] {
  return [
    ...checkName(draft.name),
    ...checkDescription('description', draft.description),
    ...wordsOf(draft).flatMap(([where, text]) => findPoison(where, text)),
  ];
}

const wordsOf = ({ use_when, example_requests, tags, overrides, confirm_distinct }: SkillDraft): [string, string][] => [
  ...Object.entries({ use_when, example_requests, tags }).flatMap(([field, texts]) =>
    texts.map((text, i): [string, string] => [`${field}[${i}]`, text]),
  ),
  ...overrides.map(({ reason }, i): [string, string] => [`overrides[${i}].reason`, reason]),
  ...(confirm_distinct === undefined ? [] : [['confirm_distinct', confirm_distinct] as [string, string]]),
];

/** Finds words that pass for the name of a built-in tool, wherever a model would read them. */
export async function checkTwins(draft: SkillDraft, builtins: readonly string[]): Promise<Finding[]> {
  const { name, description, input_schema, output_schema = {} } = draft;
  const texts: [string, string][] = [
    ['name', name],
    ['description', description],
    ...wordsOf(draft),
    ['input_schema', JSON.stringify(input_schema)],
    ['output_schema', JSON.stringify(output_schema)],
  ];
  const found = await Promise.all(
    texts.map(async ([where, text]) =>
      (await findTwins(text, builtins)).map(({ word, name: builtin }) => twinFinding(where, word, builtin)),
    ),
  );
  return found.flat();
}

/** Finds what looks like a credential in a source, with its line. */
export function checkCredentials(source: string): Finding[] {
  return findCredentials(source).map(({ what, index }) => {
    const before = source.slice(0, index).split('\n');
    const [line, column] = [before.length, (before.at(-1)?.length ?? 0) + 1];
    const { message, ...finding } = credentialFinding('code', what);
    const remedy = "Take it out; a declared secret is put in by the host: 'Bearer {{secret:NAME}}'.";
    return { ...finding, line, column, message: `line ${line}: ${message}`, remedy };
  });
}

/** Makes warnings, with their reasons, of what the author keeps; an override of nothing is a warning too. */
export function applyOverrides(findings: readonly Finding[], overrides: SkillDraft['overrides']): Finding[] {
  const kept = findings.map((finding): Finding => {
    const reason = overrides.find(({ rule, where }) => rule === finding.rule && where === finding.where)?.reason;
    return reason === undefined ? finding : { ...finding, severity: 'warning', override: reason };
  });
  const idle = overrides.flatMap(({ rule, where }, i) =>
    findings.some((finding) => finding.rule === rule && finding.where === where) ? [] : [unused(i)],
  );
  return [...kept, ...idle];
}

const unused = (index: number): Finding => ({
  rule: 'override_unused',
  severity: 'warning',
  where: `overrides[${index}]`,
  message: `overrides[${index}] is about nothing that was found`,
  remedy: 'Take it out, or name rule and place as the finding does.',
});
