import { accessSync, constants, existsSync } from 'node:fs';
import type { Command } from 'commander';
import { sql } from 'kysely';
import { localTenant } from '../access/principals.ts';
import type { App } from '../app.ts';
import { tscVersion } from '../code/tsc.ts';
import { toWeaverError } from '../errors.ts';
import { sha256 } from '../json.ts';
import { runsUnderWay } from '../runs/leases.ts';
import { defaultLimits } from '../sandbox/sandbox.ts';
import { createKeyring } from '../secrets/keyring.ts';
import { listSecrets, openSecret } from '../secrets/table.ts';
import { outboxHealth } from '../store/outbox.ts';
import type { Db } from '../store/tables.ts';
import { action, addCommand, type Cli, withApp } from './command.ts';
import { columns, print } from './output.ts';

const lateMs = 60_000;

interface Part {
  part: string;
  state: 'ok' | 'absent' | 'broken';
  detail: string;
  /** What its absence or fault costs. */
  costs: string;
}

/** `toolweaver doctor`: each part, whether it is there, and what it costs where it is not. */
export function addDoctor(program: Command, env: NodeJS.ProcessEnv): void {
  addCommand(program, 'doctor', 'Check every part of this installation.', 'toolweaver doctor').action(
    action(env, async (cli) => {
      const parts = [
        await part('node', 'everything', nodeVersion),
        await part('home', 'nothing can be kept', () => home(cli)),
      ];
      parts.push(...(await appParts(cli)));
      const rows = parts.map((one) => [
        one.state,
        one.part,
        one.detail,
        one.state === 'ok' ? '' : `costs: ${one.costs}`,
      ]);
      print(cli.asJson, { parts }, () => columns(rows));
      return parts.some((one) => one.state === 'broken') ? 1 : 0;
    }),
  );
}

async function appParts(cli: Cli): Promise<Part[]> {
  try {
    return await withApp(cli, async (app) => [
      await part('database', 'nothing can be kept', () => database(app)),
      await part('outbox', 'what follows changes is not done', () => outbox(app)),
      await part('runs', 'calls in the background do not end', () => runs(app)),
      await redis(app),
      await part('secrets', 'skills that send them fail', () => secrets(app)),
      await part('sandbox', 'skills cannot run or be checked', () => sandbox(app)),
      await deno(app),
      await python(app),
      await part('compiler', 'skills cannot be saved', compiler),
      await part('type check', 'types of skills are not checked', async () => `typescript ${await tscVersion()}`),
      await part('search', 'tools cannot be found by words', () => search(app)),
    ]);
  } catch (error) {
    return [broken('database', 'nothing works without it', error)];
  }
}

async function part(name: string, costs: string, check: () => Promise<string> | string): Promise<Part> {
  try {
    return { part: name, state: 'ok', detail: await check(), costs };
  } catch (error) {
    return broken(name, costs, error);
  }
}

function broken(name: string, costs: string, thrown: unknown): Part {
  const error = toWeaverError(thrown);
  const cause = (error.cause as Error | undefined)?.message ?? String(error.cause);
  const detail = error.code === 'internal' ? cause : `[${error.code}] ${error.message}`;
  return { part: name, state: 'broken', detail, costs };
}

const nodeVersion = (): string => `${process.version} on ${process.platform} ${process.arch}`;

function home({ loaded: { config } }: Cli): string {
  if (!existsSync(config.home)) return `${config.home} (made at first use)`;
  accessSync(config.home, constants.R_OK | constants.W_OK);
  return config.home;
}

async function database({ database: { read, file, kind } }: App): Promise<string> {
  const state = kind === 'sqlite' ? await quickCheck(read) : await serverVersion(read);
  const count = await read
    .selectFrom('versions')
    .select((eb) => eb.fn.countAll().as('all'))
    .executeTakeFirst();
  return `${file}, ${Number(count?.all ?? 0)} versions, ${state}`;
}

async function outbox({ database: { read } }: App): Promise<string> {
  const { waiting, late, dead } = await outboxHealth(read, Date.now() - lateMs);
  const [first] = dead;
  if (first) {
    throw new Error(
      `given up: ${dead.map(({ topic, key }) => `${topic} ${key}`.trim()).join(', ')}; last ${first.error}; mend that, then: toolweaver worker --retry`,
    );
  }
  if (late > 0) return `${late} of ${waiting} messages wait for a process: start a server or toolweaver worker`;
  return `${waiting} messages wait for their time`;
}

// By the clock, which may jump: good enough for a hint, not to take a run over.
async function runs({ database: { read } }: App): Promise<string> {
  const all = await runsUnderWay(read);
  const left = all.filter(({ leaseUntil }) => leaseUntil < Date.now());
  if (left.length === 0) return `${all.length} under way`;
  return `${all.length} under way, ${left.length} of them left by their process: start a server or toolweaver worker`;
}

async function quickCheck(read: Db): Promise<string> {
  const { rows } = await sql<{ quick_check: string }>`pragma quick_check`.execute(read);
  if (rows[0]?.quick_check !== 'ok') throw new Error(`damaged: ${rows.map((row) => row.quick_check).join('; ')}`);
  return 'quick check ok';
}

async function serverVersion(read: Db): Promise<string> {
  const { rows } = await sql<{ version: string }>`select version() as version`.execute(read);
  return rows[0]?.version.split(' on ')[0] ?? 'unknown server';
}

async function redis({ redis: link, database: { kind } }: App): Promise<Part> {
  const news = kind === 'sqlite' ? '' : '; changes of other processes are seen after half a second';
  const costs = `every process reads and counts by itself${news}`;
  if (!link) return { part: 'redis', state: 'absent', detail: 'REDIS_URL is not set', costs };
  return part('redis', costs, async () => `${link.place}, answers in ${(await link.check()).toFixed(1)} ms`);
}

async function secrets({ database, config }: App): Promise<string> {
  const ring = createKeyring(config);
  const [keys, kept] = [await ring.keys(), await listSecrets(database, localTenant)];
  for (const { name } of kept) await openSecret(database, ring, localTenant, name);
  return keys.length === 0 ? 'none kept' : `${kept.length} kept, all open with the key of ${ring.place}`;
}

async function sandbox(app: App): Promise<string> {
  const text = 'export default (input) => input.a + 1;';
  const started = performance.now();
  const result = await app.sandbox().run({
    id: 'doctor',
    owner: 'doctor',
    program: { hash: sha256(text), text },
    input: { a: 41 },
    limits: defaultLimits,
    now: Date.now(),
    seed: 1,
    callTool: async () => null,
    signal: new AbortController().signal,
  });
  if (!result.ok) throw result.error;
  if (result.value !== 42) throw new Error(`answered ${JSON.stringify(result.value)} instead of 42`);
  return `quickjs, first call in ${Math.round(performance.now() - started)} ms`;
}

async function deno({ engines }: App): Promise<Part> {
  const costs = 'skills that need more than the default engine cannot be saved or run';
  const problem = await engines.problem('deno');
  if (problem) return { part: 'deno', state: 'absent', detail: problem.message, costs };
  return part('deno', costs, async () => {
    const { file, version } = await engines.deno();
    return `${version}, ${file}`;
  });
}

async function python({ engines }: App): Promise<Part> {
  const costs = 'skills in Python cannot be saved or run';
  const problem = await engines.problem('python');
  if (problem) return { part: 'python', state: 'absent', detail: problem.message, costs };
  return part('python', costs, async () => {
    const { file, version, bubblewrap } = await engines.python();
    return `${version}, ${file} in ${bubblewrap}`;
  });
}

async function compiler(): Promise<string> {
  const esbuild = await import('esbuild');
  await esbuild.transform('const a: number = 1', { loader: 'ts' });
  return `esbuild ${esbuild.version}`;
}

function search(app: App): string {
  const { hits } = app.search(localTenant, 'search tools', 1);
  return `keyword search over ${app.catalog.list(localTenant).length} tools, first hit ${hits[0]?.name ?? 'none'}`;
}
