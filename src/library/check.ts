import type { Catalog } from '../catalog/catalog.ts';
import { nameKey } from '../catalog/definition.ts';
import type { Finding, Principal, Risk } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import type { Database } from '../store/database.ts';
import type { Db } from '../store/tables.ts';
import { shortText } from '../text/clean.ts';
import { findRing, resolveUses } from './dependencies.ts';
import type { EntryKinds, ExampleResult, Inspected, KindName, Manifest, Proof, ToolUse } from './kind.ts';
import { isNoReach, joinReach, reachRisk, riskier } from './reach.ts';
import { findEntry } from './table.ts';

const maxFindings = 50;
const moreFindings = 'more_findings';

/** How far a draft is checked: its texts and source; its types too; its examples run as well. */
export const checkLevels = ['syntax', 'types', 'exec'] as const;
export type CheckLevel = (typeof checkLevels)[number];

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
 * Checks a draft, from end to end unless a lower level is asked for, and keeps nothing.
 * @throws WeaverError `name_taken`, `cancelled`.
 */
export async function checkDraft(
  parts: CheckParts,
  request: DraftRequest,
  level: CheckLevel = 'exec',
): Promise<Checked> {
  const { database, catalog, kinds } = parts;
  const { name, principal, signal } = request;
  const kind = kinds[request.kind];
  if (!kind) throw new WeaverError('not_supported', `This ToolWeaver keeps no ${request.kind}s.`);
  await refuseTakenName(database.read, catalog, principal.tenant, name, request.kind);
  const inspected = await kind.inspect(request.draft);
  const { findings, lock, tools, reach, risk, signatures } = await checkUses(parts, request, inspected);
  const { manifest: inner, texts, examples } = inspected;
  if (!inner || !texts || findings.some(isError)) return { findings: firstOf(findings), examples: [], risk };
  const capabilities = { ...inspected.reach, tools };
  const manifest: Manifest = { ...inner, capabilities, ...(!isNoReach(reach) && { reach }), risk, lock };
  // At once, so that the author hears of both: neither needs what the other finds.
  const [types, proof] = await Promise.all([
    level === 'syntax' ? [] : kind.checkTypes(manifest, texts.source, signatures, signal),
    level === 'exec' ? kind.prove(manifest, { compiled: texts.compiled, examples }, principal, signal) : unproven,
  ]);
  const checked = { findings: firstOf([...findings, ...types, ...proof.findings]), examples: proof.results, risk };
  return checked.findings.some(isError)
    ? checked
    : { ...checked, sound: { manifest: { ...manifest, ...(proof.engine && { engine: proof.engine }) }, texts } };
}

const unproven: Proof = Object.freeze({ results: [], findings: [] });

/** What a draft's uses of tools come to, with all findings about it so far. */
async function checkUses({ database, catalog }: CheckParts, request: DraftRequest, inspected: Inspected) {
  const { name, principal } = request;
  const where = { db: database.read, catalog, tenant: principal.tenant };
  // Its own name is no tool yet at the first save: it is a ring, not a missing tool.
  const callsItself = inspected.uses.some((use) => use.name === name);
  const others = inspected.uses.filter((use) => use.name !== name);
  const { findings, ...resolved } = await resolveUses(where, others);
  const reach = joinReach(inspected.reach, resolved.reach);
  const risk = riskier(reachRisk(reach), resolved.risk);
  const ring = callsItself ? [name, name] : await findRing(where.db, where.tenant, name, resolved.lock);
  const ringFindings = ring ? [ringFinding(ring, inspected.uses)] : [];
  return { ...resolved, reach, risk, findings: [...inspected.findings, ...findings, ...ringFindings] };
}

const isError = (finding: Finding): boolean => finding.severity === 'error';

// 200 kB of code can have 20,000 findings, which nobody reads.
function firstOf(findings: readonly Finding[]): Finding[] {
  if (findings.length <= maxFindings) return [...findings];
  const errors = findings.filter(isError);
  const shown = [...errors, ...findings.filter((finding) => !isError(finding))].slice(0, maxFindings);
  const severity = errors.length > maxFindings ? 'error' : 'warning';
  const message = `${findings.length - maxFindings} more findings are not shown`;
  return [...shown, { rule: moreFindings, severity, where: 'draft', message, remedy: 'Mend the ones above first.' }];
}

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
  new WeaverError('name_taken', `The name "${shortText(name)}" is taken by ${by}.`, {
    hint: 'Choose another name, or save under the existing one to make its next version.',
  });

/** The finding for a draft that would call itself, directly or through others. */
export function ringFinding(ring: readonly string[], uses: readonly ToolUse[] = []): Finding {
  const place = uses.find((use) => use.name === ring[1]);
  return {
    rule: 'dependency_cycle',
    severity: 'error',
    where: 'code',
    ...(place && { line: place.line, column: place.column }),
    message: `${place ? `line ${place.line}: ` : ''}it would call itself: ${ring.join(' → ')}`,
    remedy: 'Take one of these calls out; a loop inside one skill is fine.',
  };
}

/** The error that tells an author everything that is wrong with a draft. */
export function checkFailed(name: string, findings: readonly Finding[]): WeaverError {
  const count = findings.filter((finding) => isError(finding) && finding.rule !== moreFindings).length;
  const more = findings.some((finding) => isError(finding) && finding.rule === moreFindings) ? ', and more' : '';
  const problems = `${count} ${count === 1 ? 'problem' : 'problems'}${more}`;
  return new WeaverError('check_failed', `${shortText(name)} was not saved: ${problems}.`, {
    hint: 'Mend them all and save again; validate_skill checks without saving.',
    details: { findings },
  });
}
