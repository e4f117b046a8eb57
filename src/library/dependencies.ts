import { maxSatisfying, satisfies, validRange } from 'semver';
import type { Catalog } from '../catalog/catalog.ts';
import type { Tool } from '../catalog/tool.ts';
import type { ToolSignature } from '../code/context-type.ts';
import type { Capabilities, Finding, Lock, Reach, Risk } from '../contracts.ts';
import type { Db } from '../store/tables.ts';
import { shortText } from '../text/clean.ts';
import type { ToolUse } from './kind.ts';
import { joinReach, noReach, riskier } from './reach.ts';
import { getVersion, listVersions, lockOf, runnableStates, type Version } from './table.ts';

/** What a draft's uses come to: exact versions, the capability that grants them, and the reach and risk that they bring. */
export interface Resolved {
  lock: Lock;
  tools: Capabilities['tools'];
  reach: Reach;
  risk: Risk;
  /** What each takes and answers. */
  signatures: ToolSignature[];
  findings: Finding[];
}

interface Where {
  db: Db;
  catalog: Catalog;
  tenant: string;
}

/** Finds the exact version of every tool that a source names; what is missing or may not be used is a finding. */
export async function resolveUses(where: Where, uses: readonly ToolUse[]): Promise<Resolved> {
  const lock: Record<string, { version: string; seal: string }> = {};
  const tools: Capabilities['tools'] = [];
  const signatures: ToolSignature[] = [];
  const findings: Finding[] = [];
  let reach = noReach;
  let risk: Risk = 'none';
  for (const use of uses) {
    const found = await resolveUse(where, use);
    if ('finding' in found) {
      findings.push(found.finding);
      continue;
    }
    risk = riskier(risk, found.risk);
    tools.push({ name: use.name, range: found.range });
    signatures.push({ name: use.name, ...found.schemas });
    if (!found.locked) continue;
    lock[use.name] = { version: found.locked.version, seal: found.locked.seal };
    reach = joinReach(reach, found.locked.manifest?.reach ?? noReach);
  }
  return { lock, tools, reach, risk, signatures, findings };
}

type Schemas = Pick<ToolSignature, 'input' | 'output'>;
type Found = { risk: Risk; range: string; schemas: Schemas; locked?: Version } | { finding: Finding };

async function resolveUse(where: Where, use: ToolUse): Promise<Found> {
  const listed = where.catalog.get(where.tenant, use.name);
  if (listed?.kind === 'builtin') return resolveBuiltin(listed, use);
  if (use.range !== undefined && validRange(use.range) === null) {
    const remedy = `Write ${use.name}@^1 or only ${use.name}.`;
    return problem(use, 'bad_range', `"${shortText(use.range)}" is no version range`, remedy);
  }
  const versions = await listVersions(where.db, where.tenant, use.name);
  if (versions.length === 0) {
    const remedy = 'Save it first, or find the right name with search_tools.';
    return problem(use, 'unknown_tool', `there is no tool named ${shortText(use.name)}`, remedy);
  }
  const { locked, range } = choose(versions, use.range);
  if (locked) return { risk: locked.risk, range, schemas: schemasOf(locked.manifest), locked };
  const have = versions.slice(0, 10).map((version) => `${version.version} (${version.state})`);
  const message = `no approved version of ${use.name} fits ${range}; there are ${have.join(', ')}`;
  return problem(use, 'unusable_version', message, 'Have it reviewed, or ask for another range.');
}

const schemasOf = (one: Schemas | undefined): Schemas => ({ input: one?.input ?? {}, output: one?.output });

function resolveBuiltin(tool: Tool, use: ToolUse): Found {
  if (tool.forward) {
    const remedy = 'Name the tool itself: ctx.tools.<name>(input).';
    return problem(use, 'dynamic_tool', `${use.name} can reach any tool`, remedy);
  }
  if (use.range === undefined) return { risk: tool.risk, range: '*', schemas: schemasOf(tool) };
  return problem(use, 'bad_range', `${use.name} is built in and has no versions`, `Write only ${use.name}.`);
}

// The active version wherever it fits, as a call of the same range would run: a later one may have been rolled back.
function choose(versions: readonly Version[], wanted: string | undefined): { locked?: Version; range: string } {
  const runnable = versions.filter((version) => runnableStates.includes(version.state));
  const active = runnable.find((version) => version.state === 'active');
  const range = wanted ?? (active ? `^${active.version}` : '*');
  if (active && satisfies(active.version, range)) return { locked: active, range };
  const numbers = runnable.map((version) => version.version);
  const best = wanted === undefined ? null : maxSatisfying(numbers, range);
  const locked = runnable.find((version) => version.version === best);
  return { range, ...(locked && { locked }) };
}

const problem = ({ line, column }: ToolUse, rule: string, what: string, remedy: string): Found => ({
  finding: { rule, severity: 'error', where: 'code', line, column, message: `line ${line}: ${what}`, remedy },
});

/** The ring that a lock would close around `name`, as the names from it to itself, or undefined. */
export async function findRing(db: Db, tenant: string, name: string, lock: Lock): Promise<string[] | undefined> {
  const seen = new Set<string>();
  const walk = async (path: string[], locked: Lock): Promise<string[] | undefined> => {
    for (const [dependency, { version }] of Object.entries(locked)) {
      if (dependency === name) return [...path, name];
      if (seen.has(`${dependency}@${version}`)) continue;
      seen.add(`${dependency}@${version}`);
      const ring = await walk([...path, dependency], await lockOf(db, tenant, dependency, version));
      if (ring) return ring;
    }
    return undefined;
  };
  return walk([name], lock);
}

/** True when every locked dependency still is what was locked. */
export async function isLockRunnable(db: Db, tenant: string, lock: Lock): Promise<boolean> {
  for (const [name, { version, seal }] of Object.entries(lock)) {
    const stored = await getVersion(db, tenant, name, version);
    if (!stored || stored.seal !== seal || !runnableStates.includes(stored.state)) return false;
  }
  return true;
}
