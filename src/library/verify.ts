import { sql } from 'kysely';
import { sha256 } from '../json.ts';
import type { Database } from '../store/database.ts';
import type { Db } from '../store/tables.ts';
import type { Manifest } from './kind.ts';
import { sealOf } from './seal.ts';

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
      .where((eb) =>
        eb.or([eb('tenant', '>', last.tenant), eb.and([eb('tenant', '=', last.tenant), eb('hash', '>', last.hash)])]),
      )
      .orderBy('tenant')
      .orderBy('hash')
      .limit(page)
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
  let last = { tenant: '', name: '', ordinal: 0 };
  for (;;) {
    const rows = await versionsAfter(read, last);
    for (const row of rows) faults.push(...(await faultsOf(read, row)));
    count += rows.length;
    const end = rows.at(-1);
    if (!end) return { count, faults };
    last = end;
  }
}

interface VersionRow {
  tenant: string;
  name: string;
  version: string;
  ordinal: number;
  seal: string;
  manifest: string;
}

const versionsAfter = (read: Db, last: { tenant: string; name: string; ordinal: number }): Promise<VersionRow[]> =>
  read
    .selectFrom('versions')
    .select(['tenant', 'name', 'version', 'ordinal', 'seal', 'manifest'])
    .where((eb) =>
      eb.or([
        eb('tenant', '>', last.tenant),
        eb.and([eb('tenant', '=', last.tenant), eb('name', '>', last.name)]),
        eb.and([eb('tenant', '=', last.tenant), eb('name', '=', last.name), eb('ordinal', '>', last.ordinal)]),
      ]),
    )
    .orderBy('tenant')
    .orderBy('name')
    .orderBy('ordinal')
    .limit(page)
    .execute();

async function faultsOf(read: Db, { tenant, name, version, seal, manifest: text }: VersionRow): Promise<Fault[]> {
  const place = { tenant, name: `${name}@${version}` };
  const manifest = parse(text);
  if (!manifest) return [{ what: 'seal', ...place, problem: 'its manifest cannot be read' }];
  const faults: Fault[] =
    sealOf(manifest) === seal ? [] : [{ what: 'seal', ...place, problem: 'it is not what was sealed' }];
  const hashes = [manifest.source, manifest.compiled, manifest.examples];
  const found = await read
    .selectFrom('blobs')
    .select('hash')
    .where('tenant', '=', tenant)
    .where('hash', 'in', hashes)
    .execute();
  const missing = new Set(hashes).size - found.length;
  return missing === 0
    ? faults
    : [...faults, { what: 'blob', ...place, problem: `${missing} of its texts are missing` }];
}

function parse(text: string): Manifest | undefined {
  try {
    return JSON.parse(text);
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

/** Forgets runs that have expired and texts that no version names, and gives the space back. */
export async function compactLibrary(database: Database, now: number): Promise<{ runs: number; blobs: number }> {
  const forgotten = await database.write(async (trx) => {
    const runs = await trx.deleteFrom('runs').where('expires_at', '<', now).executeTakeFirst();
    const named = await namedBlobs(trx);
    const all = await trx.selectFrom('blobs').select(['tenant', 'hash']).execute();
    const unused = all.filter(({ tenant, hash }) => !named.has(`${tenant}/${hash}`));
    for (const { tenant, hash } of unused)
      await trx.deleteFrom('blobs').where('tenant', '=', tenant).where('hash', '=', hash).execute();
    return { runs: Number(runs.numDeletedRows), blobs: unused.length };
  });
  if (database.kind === 'sqlite') await sql`vacuum`.execute(database.read);
  return forgotten;
}

async function namedBlobs(trx: Db): Promise<Set<string>> {
  const rows = await trx.selectFrom('versions').select(['tenant', 'manifest']).execute();
  return new Set(
    rows.flatMap(({ tenant, manifest }) => {
      const { source, compiled, examples }: Manifest = JSON.parse(manifest);
      return [source, compiled, examples].map((hash) => `${tenant}/${hash}`);
    }),
  );
}
