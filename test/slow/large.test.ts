import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { canonicalJson } from '../../src/json.ts';
import { sealOf } from '../../src/library/seal.ts';
import { entriesSince, getVersion } from '../../src/library/table.ts';
import { openDatabase } from '../../src/store/database.ts';
import { raiseGeneration } from '../../src/store/generation.ts';
import type { Db, Tables } from '../../src/store/tables.ts';
import { draft, testApp } from '../helpers/app.ts';
import { needsPostgres, type PostgresServer, startPostgres } from '../helpers/postgres.ts';
import { makeHome, runCli, startServer } from '../helpers/process.ts';

const skills = 10_000;
const versionsEach = 20;
const rowsPerStatement = 500;
let server: PostgresServer | undefined;

beforeAll(async () => {
  if (needsPostgres === '') server = await startPostgres();
});
afterAll(() => server?.close());

/** Fills a database that has one saved skill with 10,000 of 20 versions each, sealed as saving would. */
async function fillWith(address: string): Promise<void> {
  const app = await testApp({ file: address });
  await app.save({ name: 'seed' });
  const seed = await getVersion(app.database.read, 'local', 'seed', '1.0.0');
  if (!seed?.manifest) throw new Error('the seed was not saved');
  const { manifest } = seed;
  await app.close();
  const database = await openDatabase(address);
  for (let from = 0; from < skills; from += 1_000) {
    await database.write(async (trx) => {
      const generation = await raiseGeneration(trx, 'local');
      const names = Array.from({ length: 1_000 }, (_, i) => `skill_${from + i}`);
      await insertAll(
        trx,
        'entries',
        names.map((name) => entryOf(name, generation)),
      );
      const versions = names.flatMap((name) =>
        Array.from({ length: versionsEach }, (_, n) =>
          versionOf({ ...manifest, name, description: `Doubles, ${n}.` }, n),
        ),
      );
      await insertAll(trx, 'versions', versions);
    });
  }
  await database.close();
}

async function insertAll<T extends 'entries' | 'versions'>(trx: Db, table: T, rows: Tables[T][]): Promise<void> {
  for (let at = 0; at < rows.length; at += rowsPerStatement) {
    await trx
      .insertInto(table)
      .values(rows.slice(at, at + rowsPerStatement) as never)
      .execute();
  }
}

const entryOf = (name: string, generation: number): Tables['entries'] => ({
  tenant: 'local',
  name,
  name_key: name.replaceAll('_', ''),
  kind: 'skill',
  active_version: `1.0.${versionsEach - 1}`,
  generation,
  created_at: 0,
  created_by: 'agent:test',
});

const versionOf = (manifest: Parameters<typeof sealOf>[0], n: number): Tables['versions'] => ({
  tenant: 'local',
  name: manifest.name,
  version: `1.0.${n}`,
  ordinal: n + 1,
  state: n === versionsEach - 1 ? 'active' : 'superseded',
  seal: sealOf(manifest),
  manifest: canonicalJson(manifest),
  risk: 'none',
  created_at: n,
  created_by: 'agent:test',
  reason: null,
});

async function everythingWorks(home: string, address: string): Promise<string> {
  const env: Record<string, string> = address.startsWith('postgres') ? { DATABASE_URL: address } : {};
  const started = performance.now();
  const mcp = await startServer({ home, env });
  const { result } = await mcp.request('tools/list');
  const listed = performance.now() - started;
  expect(result.nextCursor).toBeTypeOf('string');
  const use = async (tool: string, input: object) => {
    const answer = await mcp.callTool(tool, input);
    expect([tool, answer.result.isError ? answer.result.content : undefined]).toEqual([tool, undefined]);
    return answer.result.structuredContent;
  };
  expect(await use('skill_7777', { x: 4 })).toEqual({ y: 8 });
  expect(await use('call_tool', { name: 'skill_9999@1.0.3', input: { x: 1 } })).toEqual({ y: 2 });
  expect(await use('search_tools', { queries: ['skill_1234'] })).toMatchObject({
    results: [{ hits: expect.arrayContaining([expect.objectContaining({ name: 'skill_1234' })]) }],
  });
  expect((await use('call_tool', { name: 'list_versions', input: { name: 'skill_42' } })).versions).toHaveLength(
    versionsEach,
  );
  const saved = await use('save_skill', draft({ name: 'skill_42', description: 'Doubles, once more.' }));
  expect(saved).toMatchObject({ version: `1.0.${versionsEach}`, state: 'active' });
  expect(await use('skill_42', { x: 4 })).toEqual({ y: 8 });
  mcp.child.stdin.end();
  expect((await mcp.ended).code).toBe(0);
  const checked = await runCli(['verify', '--json'], { home, env });
  expect([checked.code, checked.stderr]).toEqual([0, '']);
  expect(JSON.parse(checked.stdout)).toMatchObject({ versions: skills * versionsEach + 2, faults: [] });
  return `first list after ${listed.toFixed(0)} ms`;
}

describe(`a library of ${skills} skills with ${versionsEach} versions each`, () => {
  it('is listed, searched, called, saved to and verified over SQLite', { timeout: 240_000 }, async () => {
    const home = makeHome();
    const file = join(home, 'toolweaver.db');
    await fillWith(file);
    const database = await openDatabase(file);
    expect(await entriesSince(database.read, 'local', 0)).toHaveLength(skills + 1);
    await database.close();
    console.log(`SQLite: ${await everythingWorks(home, file)}`);
  });

  it.skipIf(needsPostgres !== '')(
    `is listed, searched, called, saved to and verified over PostgreSQL${needsPostgres}`,
    { timeout: 240_000 },
    async () => {
      const address = (await server?.createDatabase()) ?? '';
      await fillWith(address);
      console.log(`PostgreSQL: ${await everythingWorks(makeHome(), address)}`);
    },
  );
});
