import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { build } from 'esbuild';
import { verifyLibrary } from '../../src/library/verify.ts';
import { packageRoot } from '../../src/package.ts';
import { type Database, openDatabase } from '../../src/store/database.ts';
import { atEnd } from '../helpers/process.ts';

/** Where the program people.ts is built; beside the sandbox's programs, which it starts. */
const program = join(packageRoot, 'dist/people.mjs');

export async function buildPeople(): Promise<void> {
  const entryPoints = [join(packageRoot, 'test/slow/people.ts')];
  await build({ entryPoints, outfile: program, bundle: true, packages: 'external', platform: 'node', format: 'esm' });
}

/** What people.ts prints. */
export interface Fact {
  ready?: boolean;
  kind?: string;
  name?: string;
  version?: string;
  seal?: string;
  review?: string;
  verdict?: string;
  rolledBackTo?: string;
  refused?: string;
  fault?: string;
  message?: string;
  over?: boolean;
  p99?: number;
  worst?: number;
}

export interface Person {
  facts: Fact[];
  said: () => string;
  kill(): void;
  ended: Promise<unknown>;
}

/** Starts a process that works on a library for a while, on several things at once. */
export function startPerson(home: string, address: string, seed: number, forMs: number, lanes: number): Person {
  const child = spawn(process.execPath, [program, home, address, String(seed), String(forMs), String(lanes)]);
  atEnd(() => child.kill('SIGKILL'));
  const facts: Fact[] = [];
  let [rest, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    facts.push(...lines.map((line) => JSON.parse(line) as Fact));
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return {
    facts,
    said: () => stderr,
    kill: () => void child.kill('SIGKILL'),
    ended: new Promise((resolve) => child.once('close', resolve)),
  };
}

/** Everything that does not fit together in a library, and every answered change that is not in it. */
export async function problemsOf(address: string, answered: readonly Fact[]): Promise<string[]> {
  const database = await openDatabase(address);
  try {
    const { faults } = await verifyLibrary(database);
    return [
      ...faults.map(({ what, name, problem }) => `${what} ${name}: ${problem}`),
      ...(await halves(database)),
      ...(await lost(database, answered)),
    ];
  } finally {
    await database.close();
  }
}

/** Changes of which only a part is there. */
async function halves({ read }: Database): Promise<string[]> {
  const versions = await read.selectFrom('versions').selectAll().execute();
  const reviews = await read.selectFrom('reviews').selectAll().execute();
  const decisions = await read.selectFrom('decisions').selectAll().execute();
  const entries = await read.selectFrom('entries').selectAll().execute();
  const open = new Set(
    reviews
      .filter(({ state, subject_kind }) => state === 'open' && subject_kind === 'version')
      .map((review) => `${review.subject_name}@${review.subject_version}`),
  );
  const pending = versions.filter(({ state }) => state === 'pending').map(({ name, version }) => `${name}@${version}`);
  const decided = new Set(decisions.map(({ review_id }) => review_id));
  const closed = reviews.filter(({ state }) => state === 'approved' || state === 'rejected');
  return [
    ...pending.filter((id) => !open.has(id)).map((id) => `${id} waits without a review`),
    ...[...open].filter((id) => !pending.includes(id)).map((id) => `the review of ${id} has nothing to decide`),
    ...closed.filter(({ id }) => !decided.has(id)).map(({ id }) => `review ${id} was decided by nobody`),
    ...reviews.filter(({ id, state }) => state === 'open' && decided.has(id)).map(({ id }) => `${id} is half decided`),
    ...entries.flatMap(({ name }) =>
      gaps(
        name,
        versions.filter((version) => version.name === name),
      ),
    ),
  ];
}

function gaps(name: string, versions: readonly { ordinal: number; state: string }[]): string[] {
  const ordinals = versions.map(({ ordinal }) => ordinal).sort((a, b) => a - b);
  const isWhole = ordinals.length > 0 && ordinals.every((ordinal, index) => ordinal === index + 1);
  const waiting = versions.filter(({ state }) => state === 'pending').length;
  return [...(isWhole ? [] : [`${name} has a gap in its versions`]), ...(waiting > 1 ? [`${name} waits twice`] : [])];
}

/** Answered changes that are not there. */
async function lost({ read }: Database, answered: readonly Fact[]): Promise<string[]> {
  const versions = await read.selectFrom('versions').selectAll().execute();
  const reviews = await read.selectFrom('reviews').selectAll().execute();
  const seals = new Set(versions.map(({ name, version, seal }) => `${name}@${version} ${seal}`));
  const states = new Map(reviews.map(({ id, state }) => [id, state]));
  return answered.flatMap((fact) => {
    if (fact.kind === 'save' && !seals.has(`${fact.name}@${fact.version} ${fact.seal}`)) {
      return [`the save of ${fact.name}@${fact.version} is lost`];
    }
    if (fact.kind === 'decide' && states.get(fact.review ?? '') !== fact.verdict) {
      return [`the decision on ${fact.review} is lost`];
    }
    return [];
  });
}

/** How often the catalog must have changed: once for each approval and each rollback. */
export const changesIn = (facts: readonly Fact[]): number =>
  facts.filter(({ verdict, rolledBackTo }) => verdict === 'approved' || rolledBackTo !== undefined).length;

export async function generationOf(address: string): Promise<number> {
  const database = await openDatabase(address);
  const generation = database.generation('local');
  await database.close();
  return generation;
}
