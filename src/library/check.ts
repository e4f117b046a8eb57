import type { Catalog } from '../catalog/catalog.ts';
import { nameKey } from '../catalog/definition.ts';
import type { Finding, Principal, Risk } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import type { Database } from '../store/database.ts';
import type { Db } from '../store/tables.ts';
import { findRing, resolveUses } from './dependencies.ts';
import type { EntryKinds, ExampleResult, Inspected, KindName, Manifest } from './kind.ts';
import { findEntry } from './table.ts';

export interface DraftRequest {
  kind: KindName;
  name: string;
  draft: unknown;
  principal: Principal;
  signal: AbortSignal;
}

export interface CheckParts {
  database: Database;
  catalog: Catalog;
  kinds: EntryKinds;
}

/** What a check came to. With errors among the findings there is no manifest to keep. */
export interface Checked {
  findings: Finding[];
  examples: ExampleResult[];
  risk: Risk;
  /** Set when nothing speaks against keeping it. */
  sound?: { manifest: Manifest; texts: NonNullable<Inspected['texts']> };
}

/**
 * Checks a draft from end to end, its examples included, and keeps nothing.
 * @throws WeaverError `name_taken`.
 */
export async function checkDraft({ database, catalog, kinds }: CheckParts, request: DraftRequest): Promise<Checked> {
  const { name, principal } = request;
  const kind = kinds[request.kind];
  if (!kind) throw new WeaverError('not_supported', `This ToolWeaver keeps no ${request.kind}s.`);
  await refuseTakenName(database.read, catalog, principal.tenant, name, request.kind);
  const inspected = await kind.inspect(request.draft);
  const resolved = await resolveUses({ db: database.read, catalog, tenant: principal.tenant }, inspected.uses);
  const ring = await findRing(database.read, principal.tenant, name, resolved.lock);
  const findings = [...inspected.findings, ...resolved.findings, ...(ring ? [ringFinding(ring, inspected)] : [])];
  const { risk } = resolved;
  if (!inspected.manifest || !inspected.texts || findings.some(isError)) return { findings, examples: [], risk };
  const capabilities = { net: [], secrets: [], tools: resolved.tools, files: 'none' as const };
  const manifest: Manifest = { ...inspected.manifest, capabilities, lock: resolved.lock };
  const provable = { compiled: inspected.texts.compiled, examples: inspected.examples };
  const proof = await kind.prove(manifest, provable, principal, request.signal);
  const checked = { findings: [...findings, ...proof.findings], examples: proof.results, risk };
  return checked.findings.some(isError) ? checked : { ...checked, sound: { manifest, texts: inspected.texts } };
}

const isError = (finding: Finding): boolean => finding.severity === 'error';

/** @throws WeaverError `name_taken` when a built-in or another entry has the name, or one too like it. */
export async function refuseTakenName(
  db: Db,
  catalog: Catalog,
  tenant: string,
  name: string,
  kind: KindName,
): Promise<void> {
  const key = nameKey(name);
  const builtin = catalog.list(tenant).find((tool) => tool.kind === 'builtin' && nameKey(tool.name) === key);
  if (builtin) throw taken(name, `the built-in tool ${builtin.name}`);
  const entry = await findEntry(db, tenant, key);
  if (entry && entry.kind !== kind) throw taken(name, `the ${entry.kind} ${entry.name}`);
  if (entry && entry.name !== name) throw taken(name, `${entry.name}, which differs only in case or separators`);
}

const taken = (name: string, by: string): WeaverError =>
  new WeaverError('name_taken', `The name ${JSON.stringify(name.slice(0, 60))} is taken by ${by}.`, {
    hint: 'Choose another name, or save under the existing one to make its next version.',
  });

/** The finding for a draft that would call itself, directly or through others. */
export const ringFinding = (ring: string, inspected?: Inspected): Finding => {
  const place = inspected?.uses[0];
  return {
    rule: 'dependency_cycle',
    severity: 'error',
    where: 'code',
    ...(place && { line: place.line, column: place.column }),
    message: `it would call itself: ${ring}`,
    remedy: 'Take one of these calls out; a loop inside one skill is fine.',
  };
};

/** The error that tells an author everything that is wrong with a draft. */
export function checkFailed(name: string, findings: readonly Finding[]): WeaverError {
  const errors = findings.filter(isError).length;
  return new WeaverError('check_failed', `${name} was not saved: ${errors} ${errors === 1 ? 'problem' : 'problems'}.`, {
    hint: 'Mend them all and save again; validate_skill checks without saving.',
    details: { findings },
  });
}
