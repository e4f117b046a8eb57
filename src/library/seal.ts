import { WeaverError } from '../errors.ts';
import { canonicalJson, sha256 } from '../json.ts';
import type { Manifest } from './kind.ts';

/** sha256 over the canonical JSON (RFC 8785) of all that is reviewed. */
export const sealOf = (manifest: Manifest): string => sha256(canonicalJson(manifest));

/** @throws WeaverError `seal_broken` when a stored manifest is not the one that was sealed. */
export function checkSeal(manifest: Manifest, version: string, seal: string): void {
  if (sealOf(manifest) === seal) return;
  throw new WeaverError('seal_broken', `${manifest.name} ${version} differs from what was reviewed; it was not run.`, {
    hint: 'Restore the database from a backup, or save the skill again and have it reviewed.',
  });
}
