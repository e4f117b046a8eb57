import { signingKey } from './access/keys.ts';
import { localTenant } from './access/principals.ts';
import type { EventSink } from './analytics/events.ts';
import { createSqliteSink } from './analytics/sqlite-sink.ts';
import { type Call, createCall } from './catalog/call.ts';
import { type Catalog, createCatalog, type ToolSource } from './catalog/catalog.ts';
import { createTakeover } from './catalog/takeover.ts';
import type { Tool } from './catalog/tool.ts';
import { createWorker, type Worker, type WorkerTimes } from './catalog/worker.ts';
import { type Config, databaseFileOf } from './config.ts';
import type { EntryKinds } from './library/kind.ts';
import type { SaveParts } from './library/save.ts';
import { createLibrarySource } from './library/sync.ts';
import type { Log } from './log.ts';
import { openTransport, type Transport } from './net/transport.ts';
import { recordingFollowUps } from './recordings/follow-ups.ts';
import { createRecorder, type Recorder } from './recordings/recorder.ts';
import { readRedisAddress } from './redis-address.ts';
import { runFollowUps } from './runs/follow-ups.ts';
import { createRunKeeper, type RunTimes } from './runs/keeper.ts';
import { createEngines, type Engines } from './sandbox/engines.ts';
import type { Engine, Sandbox } from './sandbox/sandbox.ts';
import { createToolSearch, type ToolSearch } from './search/search.ts';
import { createKeyring } from './secrets/keyring.ts';
import { createListing, type Listing } from './server/listing.ts';
import { createSkillKind } from './skills/kind.ts';
import { createWorkspaces } from './skills/workspace.ts';
import { createLayeredCache } from './store/cache-layered.ts';
import { createMemoryCache } from './store/cache-memory.ts';
import { createRedisCache } from './store/cache-redis.ts';
import { type Database, openDatabase } from './store/database.ts';
import { createDispatcher } from './store/dispatcher.ts';
import { openRedis, type RedisLink } from './store/redis.ts';
import { createBuiltins } from './tools/index.ts';

/** A whole ToolWeaver. `close` ends every process and thread of it and keeps what waits to be written. */
export interface App {
  config: Config;
  log: Log;
  database: Database;
  /** Where REDIS_URL names one. */
  redis: RedisLink | undefined;
  catalog: Catalog;
  source: ToolSource;
  search: ToolSearch;
  library: SaveParts;
  call: Call;
  listing: Listing;
  sandbox: (engine?: Engine) => Sandbox;
  engines: Engines;
  sink: EventSink;
  /** Where TOOLWEAVER_RECORD_RUNS says that runs are recorded. */
  recorder: Recorder | undefined;
  /** Started by what lasts: servers and `toolweaver worker`. */
  worker: Worker;
  close(): Promise<void>;
}

const cacheBytes = 8_000_000;

interface AppOptions {
  /** Instead of the configured one; `:memory:` is for tests. */
  databaseFile?: string | undefined;
  /** Built-in tools beside our own. */
  moreTools?: readonly Tool[] | undefined;
  /** Instead of the one that reaches the internet. */
  transport?: Transport | undefined;
  /** Instead of the times by which kept calls are looked after. */
  runTimes?: RunTimes | undefined;
  /** Instead of the times by which the worker looks around. */
  workerTimes?: WorkerTimes | undefined;
}

/**
 * Builds everything once, in order of dependence.
 * @throws WeaverError of openDatabase.
 */
export async function openApp(config: Config, log: Log, options: AppOptions = {}): Promise<App> {
  const { databaseFile = databaseFileOf(config), moreTools = [], runTimes, workerTimes } = options;
  const database = await openDatabase(databaseFile, log);
  const redis = await openSharedRedis(config, database, log);
  if (redis) database.join(redis);
  const memory = createMemoryCache(cacheBytes);
  const cache = redis ? createLayeredCache(memory, createRedisCache(redis)) : memory;
  // A file of this machine is quicker than Redis.
  const texts = database.kind === 'sqlite' ? memory : cache;
  const sink = config.analyticsBackend.includes('sqlite') ? createSqliteSink(database, log, config.eventDays) : noSink;
  const transport = options.transport ?? openTransport();
  const keyring = createKeyring(config);
  const { recordRuns: runs, recordDays: days } = config;
  const recorder = runs > 0 ? createRecorder({ database, ring: keyring, log, runs, days }) : undefined;
  const { sandboxThreads: threads, denoPath, pythonPath } = config;
  const engines = createEngines({ threads, denoPath, pythonPath });
  const sandbox = (engine: Engine = 'quickjs'): Sandbox => engines.of(engine);

  // The catalog holds built-in tools that look into it: they are handed how to reach it, not it.
  const kinds: EntryKinds = {
    skill: createSkillKind({
      database,
      texts,
      sandbox,
      log,
      recorder,
      catalog: () => catalog,
      call: (request) => call(request),
      allowAnyHost: config.allowAnyHost,
      privateHosts: config.privateHosts,
      workspaces: createWorkspaces(config.home),
      keyring,
      transport,
      sink,
      engineProblem: (engine) => engines.problem(engine),
      builtins: () => builtins.map(({ name }) => name),
    }),
  };
  const source = createLibrarySource(database, () => catalog, kinds, log);
  const { search, follow } = createToolSearch(() => catalog);
  const builtins = createBuiltins({
    database,
    texts,
    source,
    catalog: () => catalog,
    search,
    library: () => library,
    sandbox,
    engineProblem: (engine) => engines.problem(engine),
    elicitationApproves: config.elicitationApproves,
  });
  const catalog = createCatalog([...builtins, ...moreTools]);
  const library: SaveParts = { database, catalog, kinds, approval: config.approval };
  const keeper = createRunKeeper(database, log, runTimes);
  const call = createCall({
    catalog,
    source,
    sink,
    log,
    database,
    keeper,
    callTimeoutMs: config.callTimeoutMs,
    elicitationCounts: config.elicitationApproves,
  });
  const dispatcher = createDispatcher(database, log, {
    ...runFollowUps(database),
    ...recordingFollowUps(database),
  });
  const takeover = createTakeover({ database, keeper, call, log });
  const worker = createWorker({ database, dispatcher, takeover, log }, workerTimes);
  const listing = createListing({ catalog, database, cache, config, log });
  const close = async (): Promise<void> => {
    // Its own runs are handed back by the keeper.
    const stopped = worker.stop(stopMs);
    await keeper.close();
    await stopped;
    await engines.close();
    await transport.close();
    await sink.close();
    await recorder?.close();
    await redis?.close();
    await database.close();
  };
  follow(catalog);
  try {
    await source.freshen(localTenant);
  } catch (error) {
    await close();
    throw error;
  }
  return {
    config,
    log,
    database,
    redis,
    catalog,
    source,
    search,
    library,
    call,
    listing,
    sandbox,
    engines,
    sink,
    recorder,
    worker,
    close,
  };
}

async function openSharedRedis({ redisUrl }: Config, database: Database, log: Log): Promise<RedisLink | undefined> {
  const address = redisUrl === undefined ? undefined : readRedisAddress(redisUrl);
  if (!address) return undefined;
  try {
    return await openRedis(address, () => signingKey(database, localTenant, 'redis'), log);
  } catch (error) {
    await database.close();
    throw error;
  }
}

const stopMs = 500;
const noSink: EventSink = { name: 'none', record() {}, flush: async () => {}, close: async () => {} };
