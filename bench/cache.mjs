import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { bin, connect, draft, loadSource, percentile, save, table, temporaryHome } from './lib.mjs';

const [entries, lookups, memoryBytes] = [1_000, 20_000, 1_000_000];
const [rounds, keptCalls, starts] = [60, 500_000, 5];
const hour = 3_600_000;

/** What caches are worth, and how soon a change is seen: Redis look-up p50 ≤ 1 ms, visible < 50 ms with it, < 1 s without. */
export async function run() {
  const { startPostgres } = await loadSource('test/helpers/postgres.ts');
  const { startRedis } = await loadSource('test/helpers/redis.ts');
  const [postgres, redis] = [await startPostgres(), await startRedis()];
  try {
    await study(postgres, redis);
    await visibility(postgres, redis);
    await mostUsed(postgres, redis);
    await olderVersion(postgres);
  } finally {
    await Promise.all([postgres.close(), redis.close()]);
  }
}

const sha256 = (text) => createHash('sha256').update(text).digest('hex');

/** The same look-ups, of which a few are asked for most, with and without caches in front of a database. */
async function study(postgres, redis) {
  const { openDatabase } = await loadSource('src/store/database.ts');
  const { openRedis } = await loadSource('src/store/redis.ts');
  const { readRedisAddress } = await loadSource('src/redis-address.ts');
  const { createMemoryCache } = await loadSource('src/store/cache-memory.ts');
  const { createRedisCache } = await loadSource('src/store/cache-redis.ts');
  const { createLayeredCache } = await loadSource('src/store/cache-layered.ts');
  const log = { debug() {}, info() {}, warn: console.error, error: console.error };
  const places = [join(temporaryHome(), 'bench.db'), await postgres.createDatabase()];
  const rows = [];
  for (const place of places) {
    const database = await openDatabase(place, log);
    const all = await fillLibrary(database);
    for (const kind of ['entry', 'schema']) {
      const link = await openRedis(readRedisAddress(redis.address), async () => `${place} ${kind}`, log);
      await link.check();
      const far = createRedisCache(link);
      const caches = {
        none: undefined,
        memory: createMemoryCache(memoryBytes),
        Redis: far,
        layered: createLayeredCache(createMemoryCache(memoryBytes), far),
      };
      for (const [name, cache] of Object.entries(caches)) {
        rows.push([database.kind, kind, name, ...(await lookUp(await readerOf(database, all, kind), cache))]);
      }
      await link.close();
    }
    await database.close();
  }
  process.stdout.write(`${lookups} look-ups of ${entries} things, memory bounded to ${memoryBytes / 1e6} MB\n\n`);
  table(['database', 'look-up', 'cache', 'hits %', 'p50 ms', 'p95 ms'], rows);
}

/** Entries with a schema of their own each, as saved ones have it. */
async function fillLibrary(database) {
  const { canonicalJson } = await loadSource('src/json.ts');
  const properties = Object.fromEntries(
    Array.from({ length: 12 }, (_, i) => [
      `field_${i}`,
      { type: 'string', description: `What the field ${i} is for.` },
    ]),
  );
  const all = Array.from({ length: entries }, (_, i) => {
    const name = `skill_${i}`;
    const schema = canonicalJson({ type: 'object', title: name, properties });
    const manifest = canonicalJson({ kind: 'skill', name, risk: 'none', input: JSON.parse(schema), lock: {} });
    return { name, schema, hash: sha256(schema), manifest, seal: sha256(manifest) };
  });
  const at = { created_at: 0, created_by: 'bench' };
  await database.write(async (trx) => {
    for (const { name, schema, hash, manifest, seal } of all) {
      const entry = { tenant: 'local', name, name_key: name, kind: 'skill', active_version: '1.0.0', generation: 1 };
      const version = { tenant: 'local', name, version: '1.0.0', ordinal: 1, state: 'active', seal, manifest };
      await trx
        .insertInto('entries')
        .values({ ...entry, ...at })
        .execute();
      await trx
        .insertInto('versions')
        .values({ ...version, risk: 'none', reason: null, ...at })
        .execute();
      await trx
        .insertInto('blobs')
        .values({ tenant: 'local', hash, bytes: Buffer.from(schema) })
        .execute();
    }
  });
  return all;
}

/** Reads one thing from the database, and says under which hash a cache may keep it. */
async function readerOf(database, all, kind) {
  const { getVersion } = await loadSource('src/library/table.ts');
  const { getBlob } = await loadSource('src/store/blobs.ts');
  const entry = async ({ name }) => JSON.stringify((await getVersion(database.read, 'local', name, '1.0.0')).manifest);
  const schema = ({ hash }) => getBlob(database.read, 'local', hash);
  const one = (rank) => all[rank];
  return kind === 'entry'
    ? { one, read: entry, hashOf: ({ seal }) => seal }
    : { one, read: schema, hashOf: ({ hash }) => hash };
}

async function lookUp({ one, read, hashOf }, cache) {
  const samples = [];
  let hits = 0;
  const next = zipf(entries);
  for (let i = 0; i < lookups; i++) {
    const wanted = one(next());
    const started = performance.now();
    const key = `local:${hashOf(wanted)}`;
    const kept = await cache?.get(key);
    const text = kept ? Buffer.from(kept.value).toString('utf8') : await read(wanted);
    // Wherever it comes from, it is held against its hash and read.
    if (sha256(text) !== hashOf(wanted)) throw new Error('not what was asked for');
    JSON.parse(text);
    if (kept) hits++;
    else await cache?.set(key, Buffer.from(text), hour);
    samples.push(performance.now() - started);
    // As between two requests: else nothing but this would run.
    await immediate();
  }
  return [cache ? (100 * hits) / lookups : '', percentile(samples, 0.5), percentile(samples, 0.95)];
}

/** Ranks by Zipf's law, the same ones each time. */
function zipf(count) {
  const sums = [];
  let [sum, state] = [0, 42];
  for (let rank = 1; rank <= count; rank++) {
    sum += 1 / rank;
    sums.push(sum);
  }
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const wanted = (state / 2 ** 32) * sum;
    return sums.findIndex((upTo) => upTo > wanted);
  };
}

/** From the answer to a save in one server until another one lists what was saved. */
async function visibility(postgres, redis) {
  const rows = [];
  for (const [name, more] of [
    ['without Redis', {}],
    ['with Redis', { REDIS_URL: redis.address }],
  ]) {
    const DATABASE_URL = await postgres.createDatabase();
    const servers = [];
    for (let i = 0; i < 2; i++)
      servers.push(await connect([bin, 'serve'], { TOOLWEAVER_HOME: temporaryHome(), DATABASE_URL, ...more }));
    const [one, two] = servers.map(({ client }) => client);
    await save(one, draft('warm_up'));
    const samples = [];
    for (let i = 0; i < rounds; i++) {
      // At any moment between two looks.
      await sleep((i * 137) % 500);
      await save(one, draft(`made_${i}`));
      const started = performance.now();
      // Not by calling it: what a call records makes the process look, too.
      while (!(await two.listTools()).tools.some(({ name: listed }) => listed === `made_${i}`));
      samples.push(performance.now() - started);
    }
    rows.push([name, percentile(samples, 0.5), percentile(samples, 0.95), Math.max(...samples)]);
    await Promise.all([one.close(), two.close()]);
  }
  process.stdout.write('\nA saved skill in the next tools/list of a second process, over PostgreSQL\n\n');
  table(['', 'p50 ms', 'p95 ms', 'longest ms'], rows);
}

/** The first list of a new server that shows what was used most, over a month of calls. */
async function mostUsed(postgres, redis) {
  const rows = [];
  for (const kind of ['sqlite', 'postgres']) {
    const home = temporaryHome();
    const place = kind === 'sqlite' ? {} : { DATABASE_URL: await postgres.createDatabase() };
    const env = { TOOLWEAVER_HOME: home, TOOLWEAVER_EXPOSE: 'auto', ...place };
    const { client } = await connect([bin, 'serve'], env);
    for (let i = 0; i < 50; i++) await save(client, draft(`used_${i}`));
    await client.close();
    if (kind === 'sqlite') rememberInSqlite(home);
    else await rememberInPostgres(postgres, place.DATABASE_URL);
    rows.push([kind, 'none', ...(await firstLists(env))]);
    rows.push([kind, 'Redis', ...(await firstLists({ ...env, REDIS_URL: redis.address }))]);
  }
  process.stdout.write(`\nThe first tools/list of a new server, exposure auto, ${keptCalls} kept calls\n\n`);
  table(['database', 'cache', 'p50 ms', 'longest ms'], rows);
}

const columns = 'tenant, id, at, tool, kind, principal, via, code, duration_ms, bytes_in, bytes_out, tokens';
const callsOf = (numbers, id, n, now) =>
  `insert into calls (${columns}) select 'local', ${id}, ${now} - ${n} * 4000, 'used_' || (${n} % 50), 'skill', 'agent:bench', 'mcp', 'done', 1, 1, 1, 1 from ${numbers}`;

function rememberInSqlite(home) {
  const db = new Database(join(home, 'toolweaver.db'));
  db.exec(
    `with recursive s(n) as (select 1 union all select n + 1 from s where n < ${keptCalls}) ${callsOf('s', 'n', 'n', Date.now())}`,
  );
  db.close();
}

const rememberInPostgres = (postgres, address) =>
  postgres.run(
    new URL(address).pathname.slice(1),
    callsOf(`generate_series(1, ${keptCalls}) n`, 'n::text', 'n::bigint', Date.now()),
    'analyze calls',
  );

async function firstLists(env) {
  const samples = [];
  // The first one counts, where there is a cache; the others find what it has counted.
  for (let i = 0; i <= starts; i++) {
    const { client } = await connect([bin, 'serve'], env);
    await client.callTool({ name: 'search_tools', arguments: { queries: ['add up'] } });
    const started = performance.now();
    await client.listTools();
    if (i > 0) samples.push(performance.now() - started);
    await client.close();
  }
  return [percentile(samples, 0.5), Math.max(...samples)];
}

/** A call of the version that is listed, and of an older one, as a lock names it. */
async function olderVersion(postgres) {
  const rows = [];
  for (const [kind, place] of [
    ['sqlite', {}],
    ['postgres', { DATABASE_URL: await postgres.createDatabase() }],
  ]) {
    const { client } = await connect([bin, 'serve'], { TOOLWEAVER_HOME: temporaryHome(), ...place });
    for (let i = 0; i < 20; i++) await save(client, draft('often_saved', { description: `Adds up, attempt ${i}.` }));
    const { versions } = (await client.callTool({ name: 'list_versions', arguments: { name: 'often_saved' } }))
      .structuredContent;
    for (const [what, name] of [
      ['the active one', 'often_saved'],
      ['an older one', `often_saved@${versions[10].version}`],
    ]) {
      const samples = [];
      for (let i = 0; i < 1_500; i++) {
        const started = performance.now();
        await client.callTool({ name: 'call_tool', arguments: { name, input: { id: 'a', items: [] } } });
        if (i >= 500) samples.push(performance.now() - started);
      }
      rows.push([kind, what, percentile(samples, 0.5), percentile(samples, 0.95)]);
    }
    await client.close();
  }
  process.stdout.write('\nA call of one of 20 versions\n\n');
  table(['database', 'version', 'p50 ms', 'p95 ms'], rows);
}
