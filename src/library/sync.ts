import { LRUCache } from 'lru-cache';
import { maxSatisfying } from 'semver';
import type { Catalog, ToolSource } from '../catalog/catalog.ts';
import type { Tool } from '../catalog/tool.ts';
import { WeaverError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Database } from '../store/database.ts';
import type { EntryKinds } from './kind.ts';
import { sealedManifest } from './seal.ts';
import { entriesSince, listVersions, runnableStates, type Version } from './table.ts';

const loadedVersionsKept = 500;
const choicesKept = 2_000;

/** Feeds the catalog from the library: the active versions as the list, other versions when they are asked for. */
export function createLibrarySource(
  database: Database,
  catalog: () => Catalog,
  kinds: EntryKinds,
  log: Log,
): ToolSource {
  const reached = new Map<string, number>();
  const under = new Map<string, Promise<void>>();
  const loaded = new LRUCache<string, Tool>({ max: loadedVersionsKept });
  // By the generation at which it was chosen: whatever changes what may run raises that. Only in this process: it is a
  // decision about what runs.
  const chosen = new LRUCache<string, { generation: number; tool: Tool }>({ max: choicesKept });

  const toTool = (tenant: string, stored: Version): Tool | undefined => {
    const manifest = sealedManifest(stored);
    return kinds[manifest.kind]?.toTool(tenant, stored.version, manifest, stored.seal);
  };

  const bringUpToDate = async (tenant: string): Promise<void> => {
    const since = reached.get(tenant) ?? 0;
    // Read before the entries: a change in between is then simply read again.
    const generation = database.generation(tenant);
    const changes = await entriesSince(database.read, tenant, since);
    for (const { name, active } of changes) {
      // One whose seal is broken is not listed; who calls it by name is told.
      if (active && !active.manifest) log.error({ tenant, name }, 'a skill is not what was reviewed; it is left out');
      const tool = active?.manifest && toTool(tenant, active);
      if (tool) catalog().put(tenant, tool);
      else catalog().remove(tenant, name);
    }
    reached.set(tenant, generation);
    if (changes.length > 0)
      catalog().changed(
        tenant,
        changes.map((change) => change.name),
      );
  };

  return {
    async freshen(tenant) {
      if (database.generation(tenant) === (reached.get(tenant) ?? 0)) return;
      const running = under.get(tenant);
      if (running) {
        await running;
        return this.freshen(tenant);
      }
      const run = bringUpToDate(tenant).finally(() => under.delete(tenant));
      under.set(tenant, run);
      await run;
    },
    async load(tenant, name, range) {
      const asked = JSON.stringify([tenant, name, range]);
      // Read before the versions: a change in between is then simply read again.
      const generation = database.generation(tenant);
      const before = chosen.get(asked);
      if (before?.generation === generation) return before.tool;
      const versions = await listVersions(database.read, tenant, name);
      if (versions.length === 0) return undefined;
      const version = choose(name, versions, range);
      const key = `${tenant}/${name}/${version.version}`;
      const tool = loaded.get(key) ?? toTool(tenant, version);
      if (!tool) return undefined;
      loaded.set(key, tool);
      chosen.set(asked, { generation, tool });
      return tool;
    },
  };
}

function choose(name: string, versions: readonly Version[], range: string): Version {
  const runnable = versions.filter((version) => runnableStates.includes(version.state));
  const best = maxSatisfying(
    runnable.map((version) => version.version),
    range,
  );
  const found = runnable.find((version) => version.version === best);
  if (found) return found;
  const waiting = versions.find((version) => maxSatisfying([version.version], range));
  if (waiting) {
    throw new WeaverError('not_approved', `${name} ${waiting.version} is ${waiting.state}: it may not run.`, {
      hint:
        waiting.state === 'pending'
          ? 'It waits for a person: toolweaver review list.'
          : 'list_versions shows which may.',
    });
  }
  throw new WeaverError('not_found', `${name} has no version that fits ${range}.`, {
    hint: `There are: ${versions
      .slice(0, 10)
      .map((version) => version.version)
      .join(', ')}.`,
  });
}
