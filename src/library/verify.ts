import { sql } from 'kysely';
import { canonicalJson, sha256 } from '../json.ts';
import type { Database } from '../store/database.ts';
import type { Db } from '../store/tables.ts';
import type { Manifest } from './kind.ts';
import { readSealed } from './seal.ts';

/** Something stored that is not as it must be. */
export interface Fault {
  what: 'blob' | 'seal' | 'lock' | 'pointer';
  tenant: string;
  name: string;
  problem: string;
}

export interface Verified {
  versions: number;
  blobs: number;
  faults: Fault[];
}

const page = 200;
/** A text can be a megabyte. */
const blobPage = 20;

/** Checks all that is kept: every blob against its hash, every version against its seal, every lock and every pointer. */
export async function verifyLibrary({ read }: Pick<Database, 'read'>): Promise<Verified> {
  const blobs = await verifyBlobs(read);
  const versions = await verifyVersions(read);
  return {
    versions: versions.count,
    blobs: blobs.count,
    faults: [...blobs.faults, ...versions.faults, ...(await verifyLocks(read)), ...(await verifyPointers(read))],
  };
}

async function verifyBlobs(read: Db): Promise<{ count: number; faults: Fault[] }> {
  const faults: Fault[] = [];
  let count = 0;
  let last = { tenant: '', hash: '' };
  for (;;) {
    const rows = await read
      .selectFrom('blobs')
      .selectAll()
      .where((eb) => eb(eb.refTuple('tenant', 'hash'), '>', eb.tuple(last.tenant, last.hash)))
      .orderBy('tenant')
      .orderBy('hash')
      .limit(blobPage)
      .execute();
    for (const { tenant, hash, bytes } of rows) {
      if (sha256(bytes) !== hash)
        faults.push({ what: 'blob', tenant, name: hash, problem: 'its content is not what its hash says' });
    }
    count += rows.length;
    const end = rows.at(-1);
    if (!end) return { count, faults };
    last = end;
  }
}

async function verifyVersions(read: Db): Promise<{ count: number; faults: Fault[] }> {
  const faults: Fault[] = [];
  let count = 0;
  for await (const rows of versionPages(read)) {
    const stored = rows.map((row) => ({ row, manifest: parse(row.manifest) }));
    const known = await namedBlobs(read, stored);
    const locks = await locksOf(read, rows);
    for (const { row, manifest } of stored) faults.push(...faultsOf(row, manifest, known, locks));
    count += rows.length;
  }
  return { count, faults };
}

async function* versionPages(read: Db): AsyncGenerator<VersionRow[]> {
  let last = { tenant: '', name: '', version: '' };
  for (;;) {
    const rows = await versionsAfter(read, last);
    const end = rows.at(-1);
    if (!end) return;
    yield rows;
    last = end;
  }
}

interface VersionRow {
  tenant: string;
  name: string;
  version: string;
  seal: string;
  manifest: string;
}

// As one comparison, which the primary key answers: three joined by `or` have PostgreSQL read all rows for each page.
const versionsAfter = (read: Db, last: Pick<VersionRow, 'tenant' | 'name' | 'version'>): Promise<VersionRow[]> =>
  read
    .selectFrom('versions')
    .select(['tenant', 'name', 'version', 'seal', 'manifest'])
    .where((eb) => eb(eb.refTuple('tenant', 'name', 'version'), '>', eb.tuple(last.tenant, last.name, last.version)))
    .orderBy('tenant')
    .orderBy('name')
    .orderBy('version')
    .limit(page)
    .execute();

interface Stored {
  row: VersionRow;
  manifest: Partial<Manifest> | undefined;
}

const textsOf = (manifest: Partial<Manifest> | undefined): string[] =>
  [manifest?.source, manifest?.compiled, manifest?.examples].filter((hash) => typeof hash === 'string');

/** Which of the texts that these versions name are there, as `tenant/hash`. */
async function namedBlobs(read: Db, stored: readonly Stored[]): Promise<Set<string>> {
  const hashes = new Set(stored.flatMap(({ manifest }) => textsOf(manifest)));
  if (hashes.size === 0) return hashes;
  const rows = await read
    .selectFrom('blobs')
    .select(['tenant', 'hash'])
    .where('hash', 'in', [...hashes])
    .execute();
  return new Set(rows.map(({ tenant, hash }) => `${tenant}/${hash}`));
}

/** The locks of these versions, in canonical form, by `tenant/name@version`. */
async function locksOf(read: Db, versions: readonly VersionRow[]): Promise<Map<string, string>> {
  const rows = await read
    .selectFrom('dependencies')
    .select(['tenant', 'name', 'version', 'dependency', 'locked_version', 'locked_seal'])
    .where('name', 'in', [...new Set(versions.map(({ name }) => name))])
    .execute();
  const locks = new Map<string, Record<string, unknown>>();
  for (const row of rows) {
    const lock = locks.get(idOf(row)) ?? {};
    lock[row.dependency] = { version: row.locked_version, seal: row.locked_seal };
    locks.set(idOf(row), lock);
  }
  return new Map([...locks].map(([id, lock]) => [id, canonicalJson(lock)]));
}

const idOf = ({ tenant, name, version }: Pick<VersionRow, 'tenant' | 'name' | 'version'>): string =>
  `${tenant}/${name}@${version}`;

function faultsOf(
  row: VersionRow,
  manifest: Partial<Manifest> | undefined,
  known: ReadonlySet<string>,
  locks: ReadonlyMap<string, string>,
): Fault[] {
  const place = { tenant: row.tenant, name: `${row.name}@${row.version}` };
  if (!manifest) return [{ what: 'seal', ...place, problem: 'its manifest cannot be read' }];
  if (!readSealed(row.manifest, row.seal)) return [{ what: 'seal', ...place, problem: 'it is not what was sealed' }];
  const missing = textsOf(manifest).filter((hash) => !known.has(`${row.tenant}/${hash}`));
  const faults: Fault[] = [];
  if (missing.length > 0)
    faults.push({ what: 'blob', ...place, problem: `${new Set(missing).size} of its texts are missing` });
  if ((locks.get(idOf(row)) ?? '{}') !== canonicalJson(manifest.lock ?? {}))
    faults.push({ what: 'lock', ...place, problem: 'its lock is not the one that was sealed' });
  return faults;
}

function parse(text: string): Partial<Manifest> | undefined {
  try {
    return JSON.parse(text) ?? undefined;
  } catch {
    return undefined; // The caller reports it.
  }
}

/** Locks of versions that are not there, or are sealed otherwise. */
async function verifyLocks(read: Db): Promise<Fault[]> {
  const rows = await read
    .selectFrom('dependencies as d')
    .leftJoin('versions as v', (join) =>
      join
        .onRef('v.tenant', '=', 'd.tenant')
        .onRef('v.name', '=', 'd.dependency')
        .onRef('v.version', '=', 'd.locked_version')
        .onRef('v.seal', '=', 'd.locked_seal'),
    )
    .select(['d.tenant', 'd.name', 'd.version', 'd.dependency', 'd.locked_version'])
    .where('v.seal', 'is', null)
    .execute();
  return rows.map(({ tenant, name, version, dependency, locked_version }) => ({
    what: 'lock',
    tenant,
    name: `${name}@${version}`,
    problem: `it is locked to ${dependency} ${locked_version}, which is not there as it was`,
  }));
}

/** Entries that point at a version which is not the active one, or at none while one is active. */
async function verifyPointers(read: Db): Promise<Fault[]> {
  const { rows } = await sql<{ tenant: string; name: string; pointer: string | null; active: string | null }>`
    select e.tenant, e.name, e.active_version as pointer, v.version as active
    from entries e left join versions v on v.tenant = e.tenant and v.name = e.name and v.state = 'active'
    where coalesce(e.active_version, '') <> coalesce(v.version, '')`.execute(read);
  return rows.map(({ tenant, name, pointer, active }) => ({
    what: 'pointer',
    tenant,
    name,
    problem: `it points at ${pointer ?? 'nothing'}, but ${active ?? 'nothing'} is active`,
  }));
}

/**
 * Forgets runs that have expired and texts that no version names, and gives the space back. Where a version is not what
 * was sealed, nobody knows what it names: its tenant keeps all texts.
 */
export async function compactLibrary(database: Database, now: number): Promise<{ runs: number; blobs: number }> {
  const forgotten = await database.write(async (trx) => {
    const runs = await trx.deleteFrom('runs').where('expires_at', '<', now).executeTakeFirst();
    const unused = await unusedBlobs(trx);
    for (const { tenant, hash } of unused)
      await trx.deleteFrom('blobs').where('tenant', '=', tenant).where('hash', '=', hash).execute();
    return { runs: Number(runs.numDeletedRows), blobs: unused.length };
  });
  if (database.kind === 'sqlite') await sql`vacuum`.execute(database.read);
  return forgotten;
}

async function unusedBlobs(trx: Db): Promise<{ tenant: string; hash: string }[]> {
  const named = new Set<string>();
  const unsure = new Set<string>();
  for await (const rows of versionPages(trx)) {
    for (const { tenant, manifest: text, seal } of rows) {
      const manifest = readSealed(text, seal);
      if (!manifest) unsure.add(tenant);
      for (const hash of textsOf(manifest)) named.add(`${tenant}/${hash}`);
    }
  }
  const all = await trx.selectFrom('blobs').select(['tenant', 'hash']).execute();
  return all.filter(({ tenant, hash }) => !unsure.has(tenant) && !named.has(`${tenant}/${hash}`));
}
