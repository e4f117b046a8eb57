import type { Lock, Risk } from '../contracts.ts';
import { canonicalJson } from '../json.ts';
import { raiseGeneration } from '../store/generation.ts';
import type { Db, Tables } from '../store/tables.ts';
import type { KindName, Manifest } from './kind.ts';
import { readSealed } from './seal.ts';

export type VersionState = 'pending' | 'active' | 'superseded' | 'rejected' | 'deprecated' | 'archived' | 'revoked';

export interface Entry {
  name: string;
  kind: KindName;
  activeVersion?: string;
}

export interface Version {
  name: string;
  version: string;
  ordinal: number;
  state: VersionState;
  seal: string;
  /** Absent when what is stored is not what was sealed: nothing of it may be used. */
  manifest?: Manifest;
  risk: Risk;
  createdAt: number;
  createdBy: string;
  reason?: string;
}

/** A version with its manifest at hand. */
export type SealedVersion = Version & { manifest: Manifest };

/** States in which a version may run. */
export const runnableStates: readonly VersionState[] = ['active', 'superseded', 'deprecated'];

/** The entry whose name is this one, or differs from it only in case or separators. */
export async function findEntry(db: Db, tenant: string, nameKey: string): Promise<Entry | undefined> {
  const row = await db
    .selectFrom('entries')
    .selectAll()
    .where('tenant', '=', tenant)
    .where('name_key', '=', nameKey)
    .executeTakeFirst();
  return row && toEntry(row);
}

/** Entries changed after a generation, with their active versions; a generation of 0 gives all. */
export async function entriesSince(
  db: Db,
  tenant: string,
  generation: number,
): Promise<{ name: string; generation: number; active?: Version }[]> {
  const rows = await db
    .selectFrom('entries as e')
    .leftJoin('versions as v', (join) =>
      join
        .onRef('v.tenant', '=', 'e.tenant')
        .onRef('v.name', '=', 'e.name')
        .onRef('v.version', '=', 'e.active_version'),
    )
    .selectAll('v')
    .select(['e.name as entry', 'e.generation as changed'])
    .where('e.tenant', '=', tenant)
    .where('e.generation', '>', generation)
    .execute();
  return rows.map((row) => ({
    name: row.entry,
    generation: Number(row.changed),
    ...(row.version !== null && { active: toVersion(row as Tables['versions']) }),
  }));
}

/** All versions of an entry, newest first. */
export async function listVersions(db: Db, tenant: string, name: string): Promise<Version[]> {
  const rows = await db
    .selectFrom('versions')
    .selectAll()
    .where('tenant', '=', tenant)
    .where('name', '=', name)
    .orderBy('ordinal', 'desc')
    .execute();
  return rows.map(toVersion);
}

export async function getVersion(db: Db, tenant: string, name: string, version: string): Promise<Version | undefined> {
  const row = await db
    .selectFrom('versions')
    .selectAll()
    .where('tenant', '=', tenant)
    .where('name', '=', name)
    .where('version', '=', version)
    .executeTakeFirst();
  return row && toVersion(row);
}

export async function insertEntry(
  trx: Db,
  tenant: string,
  entry: { name: string; nameKey: string; kind: KindName; createdAt: number; createdBy: string },
): Promise<void> {
  await trx
    .insertInto('entries')
    .values({
      tenant,
      name: entry.name,
      name_key: entry.nameKey,
      kind: entry.kind,
      active_version: null,
      generation: 0,
      created_at: entry.createdAt,
      created_by: entry.createdBy,
    })
    .execute();
}

/** Adds a version, never to be changed but for its state, with its locked dependencies. */
export async function insertVersion(trx: Db, tenant: string, version: SealedVersion): Promise<void> {
  await trx
    .insertInto('versions')
    .values({
      tenant,
      name: version.name,
      version: version.version,
      ordinal: version.ordinal,
      state: version.state,
      seal: version.seal,
      manifest: canonicalJson(version.manifest),
      risk: version.risk,
      created_at: version.createdAt,
      created_by: version.createdBy,
      reason: version.reason ?? null,
    })
    .execute();
  await insertDependencies(trx, tenant, version);
}

async function insertDependencies(trx: Db, tenant: string, { name, version, manifest }: SealedVersion): Promise<void> {
  const ranges = new Map(manifest.capabilities.tools.map((tool) => [tool.name, tool.range]));
  const rows = Object.entries(manifest.lock).map(([dependency, locked]) => ({
    tenant,
    name,
    version,
    dependency,
    range: ranges.get(dependency) ?? '*',
    locked_version: locked.version,
    locked_seal: locked.seal,
  }));
  if (rows.length > 0) await trx.insertInto('dependencies').values(rows).execute();
}

/** Changes the state of a version. What changes which versions may run also raises the generation, as `pointTo` does. */
export async function setState(
  trx: Db,
  tenant: string,
  name: string,
  version: string,
  state: VersionState,
  reason?: string,
): Promise<void> {
  await trx
    .updateTable('versions')
    .set({ state, reason: reason ?? null })
    .where('tenant', '=', tenant)
    .where('name', '=', name)
    .where('version', '=', version)
    .execute();
}

/** Moves the entry's pointer, and makes every process on the home notice. */
export async function pointTo(trx: Db, tenant: string, name: string, version: string): Promise<void> {
  const generation = await raiseGeneration(trx, tenant);
  await trx
    .updateTable('entries')
    .set({ active_version: version, generation })
    .where('tenant', '=', tenant)
    .where('name', '=', name)
    .execute();
}

/** Names and versions that lock the given name, over all versions. */
export async function dependentsOf(db: Db, tenant: string, name: string): Promise<{ name: string; version: string }[]> {
  return db
    .selectFrom('dependencies')
    .select(['name', 'version'])
    .where('tenant', '=', tenant)
    .where('dependency', '=', name)
    .orderBy('name')
    .execute();
}

/** The lock of a stored version. */
export async function lockOf(db: Db, tenant: string, name: string, version: string): Promise<Lock> {
  const rows = await db
    .selectFrom('dependencies')
    .select(['dependency', 'locked_version', 'locked_seal'])
    .where('tenant', '=', tenant)
    .where('name', '=', name)
    .where('version', '=', version)
    .execute();
  return Object.fromEntries(
    rows.map((row) => [row.dependency, { version: row.locked_version, seal: row.locked_seal }]),
  );
}

const toEntry = (row: Tables['entries']): Entry => ({
  name: row.name,
  kind: row.kind as KindName,
  ...(row.active_version !== null && { activeVersion: row.active_version }),
});

function toVersion(row: Tables['versions']): Version {
  const manifest = readSealed(row.manifest, row.seal);
  return {
    name: row.name,
    version: row.version,
    ordinal: row.ordinal,
    state: row.state as VersionState,
    seal: row.seal,
    ...(manifest && { manifest }),
    // The sealed one; the column is for lists.
    risk: manifest?.risk ?? (row.risk as Risk),
    createdAt: row.created_at,
    createdBy: row.created_by,
    ...(row.reason !== null && { reason: row.reason }),
  };
}
