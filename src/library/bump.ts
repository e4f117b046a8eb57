import { gt, inc, valid } from 'semver';
import { WeaverError } from '../errors.ts';
import { isSameJson } from '../json.ts';
import type { Manifest } from './kind.ts';

export type Bump = 'first' | 'major' | 'patch';

export interface Next {
  version: string;
  bump: Bump;
  reasons: string[];
}

/**
 * The version that a draft becomes: 1.0.0 at first, then major when a schema changed, else patch; or the wanted one.
 * @throws WeaverError `bad_input` when the wanted version is none, not above the latest, or too small a step.
 */
export function nextVersion(
  draft: Manifest,
  latest: { version: string; manifest: Manifest } | undefined,
  wanted: string | undefined,
): Next {
  const least = leastBump(draft, latest);
  if (wanted === undefined) return least;
  if (valid(wanted) !== wanted || wanted.includes('-') || wanted.includes('+')) {
    throw refuse(draft, `${JSON.stringify(wanted.slice(0, 50))} is no plain version such as 1.2.3`, least);
  }
  if (latest && !gt(wanted, latest.version)) throw refuse(draft, `${wanted} is not above ${latest.version}`, least);
  if (latest && least.bump === 'major' && wanted.split('.')[0] === latest.version.split('.')[0]) {
    throw refuse(draft, `${wanted} is too small a step: ${least.reasons.join(', ')}`, least);
  }
  return { ...least, version: wanted };
}

function leastBump(draft: Manifest, latest: { version: string; manifest: Manifest } | undefined): Next {
  if (!latest) return { version: '1.0.0', bump: 'first', reasons: ['first version'] };
  const reasons: string[] = [];
  if (!isSameJson(draft.input, latest.manifest.input)) reasons.push('the input schema changed');
  if (!isSameJson(draft.output ?? null, latest.manifest.output ?? null)) reasons.push('the output schema changed');
  const bump = reasons.length > 0 ? 'major' : 'patch';
  return { version: inc(latest.version, bump) ?? latest.version, bump, reasons };
}

const refuse = (draft: Manifest, why: string, least: Next): WeaverError =>
  new WeaverError('bad_input', `${draft.name}: version ${why}.`, {
    hint: `Leave version out to get ${least.version}, or ask for a higher one.`,
    details: { least: least.version, reasons: least.reasons },
  });
