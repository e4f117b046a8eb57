import { gt, inc, valid } from 'semver';
import { WeaverError } from '../errors.ts';
import { isSameJson } from '../json.ts';
import { shortText } from '../text/clean.ts';
import type { Manifest } from './kind.ts';
import { compareReach, noReach } from './reach.ts';

export type Bump = 'first' | 'major' | 'patch';

export interface Next {
  version: string;
  bump: Bump;
  reasons: string[];
}

/** The version before; without its manifest where that is not what was sealed any more. */
interface Latest {
  version: string;
  manifest?: Manifest;
}

/**
 * The version that a draft becomes: 1.0.0 at first, then major when a schema changed or it can reach
 * more, else patch; or the wanted one.
 * @throws WeaverError `bad_input` when the wanted version is none, not above the latest, or too small a step.
 */
export function nextVersion(draft: Manifest, latest: Latest | undefined, wanted: string | undefined): Next {
  const least = leastBump(draft, latest);
  if (wanted === undefined) return least;
  if (!isPlain(wanted)) throw refuse(draft, `"${shortText(wanted)}" is no plain version such as 1.2.3`, least);
  if (latest && !gt(wanted, latest.version)) throw refuse(draft, `${wanted} is not above ${latest.version}`, least);
  if (latest && least.bump === 'major' && wanted.split('.')[0] === latest.version.split('.')[0]) {
    throw refuse(draft, `${wanted} is too small a step: ${least.reasons.join(', ')}`, least);
  }
  return { ...least, version: wanted };
}

// Six digits a part leave room to count on: beyond 2^53 the next version would be none.
const isPlain = (version: string): boolean => valid(version) === version && /^\d{1,6}\.\d{1,6}\.\d{1,6}$/.test(version);

function leastBump(draft: Manifest, latest: Latest | undefined): Next {
  if (!latest) return { version: '1.0.0', bump: 'first', reasons: ['first version'] };
  const reasons = latest.manifest ? changes(draft, latest.manifest) : ['the version before cannot be read'];
  const bump = reasons.length > 0 ? 'major' : 'patch';
  return { version: inc(latest.version, bump) ?? latest.version, bump, reasons };
}

const changes = (draft: Manifest, before: Manifest): string[] => [
  ...schemaChanges(draft, before),
  ...compareReach(granted(before), granted(draft)).added.map((words) => `it now ${words}`),
];

/** All that a version may reach, through what it calls too. */
const granted = ({ capabilities, reach }: Manifest) => ({ ...noReach, ...reach, tools: capabilities.tools });

function schemaChanges(draft: Manifest, before: Manifest): string[] {
  const isSameInput = isSameJson(draft.input, before.input);
  const isSameOutput = isSameJson(draft.output ?? null, before.output ?? null);
  return [...(isSameInput ? [] : ['the input schema changed']), ...(isSameOutput ? [] : ['the output schema changed'])];
}

const refuse = (draft: Manifest, why: string, least: Next): WeaverError =>
  new WeaverError('bad_input', `${draft.name}: version ${why}.`, {
    hint: `Leave version out to get ${least.version}, or ask for a higher one.`,
    details: { least: least.version, reasons: least.reasons },
  });
