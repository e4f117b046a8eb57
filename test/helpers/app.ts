import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, InMemoryTransport } from '@modelcontextprotocol/client';
import { onTestFinished } from 'vitest';
import { createPrincipal } from '../../src/access/principals.ts';
import { type App, openApp } from '../../src/app.ts';
import { decide, listReviews, type Verdict } from '../../src/approval/reviews.ts';
import type { Tool } from '../../src/catalog/tool.ts';
import type { WorkerTimes } from '../../src/catalog/worker.ts';
import { type Config, loadConfig, type SettingName } from '../../src/config.ts';
import type { CallRequest, Outcome, Principal } from '../../src/contracts.ts';
import { libraryReviewEnds } from '../../src/library/decide.ts';
import { type Log, silentLog } from '../../src/log.ts';
import type { Transport } from '../../src/net/transport.ts';
import type { RunTimes } from '../../src/runs/keeper.ts';
import { createMcpServer } from '../../src/server/mcp.ts';

export interface TestApp extends App {
  /** A real MCP client of this ToolWeaver, as an agent of that name. */
  as(name: string): Promise<Client>;
  /** A call on the road as an agent; the outcome's value, or its error thrown. */
  use(tool: string, input?: unknown, more?: Partial<CallRequest>): Promise<unknown>;
  outcome(tool: string, input?: unknown, more?: Partial<CallRequest>): Promise<Outcome>;
  /** Saves a small skill; fields override those of a valid draft. */
  save(fields?: Record<string, unknown>): Promise<Record<string, unknown>>;
  /** A person's decision on the one open review. */
  decide(verdict: Verdict, comment?: string): Promise<void>;
}

export const agent = createPrincipal('agent:test', 'agent', ['author']);
export const person = createPrincipal('person:test', 'person', ['admin']);

/** A valid draft: doubles a number. */
export const draft = (fields: Record<string, unknown> = {}): Record<string, unknown> => ({
  name: 'double',
  description: 'Doubles a number.',
  code: 'export default async function run(input, ctx) { return { y: input.x * 2 }; }',
  input_schema: { type: 'object', properties: { x: { type: 'number' } }, required: ['x'], additionalProperties: false },
  output_schema: { type: 'object', properties: { y: { type: 'number' } }, required: ['y'] },
  examples: [{ input: { x: 2 }, output: { y: 4 } }],
  ...fields,
});

/** A folder of its own that goes when the test ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'toolweaver-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

interface TestOptions {
  settings?: Partial<Record<SettingName, unknown>>;
  file?: string;
  log?: Log;
  /** Built-in tools beside our own, such as those of asking.ts. */
  moreTools?: readonly Tool[];
  runTimes?: RunTimes;
  /** Instead of the one that reaches the internet. */
  transport?: Transport;
  workerTimes?: WorkerTimes;
}

/** A whole ToolWeaver over a database of its own, in memory where none is named. Closed when the test ends. */
export async function testApp({
  settings = {},
  file,
  log = silentLog,
  moreTools,
  runTimes,
  transport,
  workerTimes,
}: TestOptions = {}): Promise<TestApp> {
  const config: Config = loadConfig({}, { home: temporaryHome, ...settings }).config;
  const databaseFile = file ?? (await freshDatabase());
  const app = await openApp(config, log, { databaseFile, moreTools, runTimes, transport, workerTimes });
  let isOpen = true;
  const close = async () => {
    if (isOpen) await app.close();
    isOpen = false;
  };
  onTestFinished(close);
  const outcome: TestApp['outcome'] = (tool, input = {}, more = {}) =>
    app.call({ tool, input, principal: agent, via: 'system', signal: new AbortController().signal, ...more });
  const use: TestApp['use'] = async (tool, input, more) => {
    const result = await outcome(tool, input, more);
    if (result.status === 'done') return result.value;
    throw result.status === 'failed' ? result.error : new Error(result.status);
  };
  return {
    ...app,
    close,
    outcome,
    use,
    save: async (fields) => (await use('save_skill', draft(fields))) as Record<string, unknown>,
    decide: (verdict, comment) => decideOpen(app, verdict, comment),
    as: (name) => connect(app, createPrincipal(`agent:${name}`, 'agent', ['author'])),
  };
}

// The slow tests run those of the front door a second time, over PostgreSQL.
async function freshDatabase(): Promise<string> {
  const server = process.env.TOOLWEAVER_TEST_POSTGRES;
  if (server === undefined) return ':memory:';
  const { createDatabase } = await import('./postgres.ts');
  return createDatabase(server);
}

const temporaryHome = join(tmpdir(), 'toolweaver-test-home-that-is-not-made');

async function decideOpen({ database }: App, verdict: Verdict, comment?: string): Promise<void> {
  const [review] = await listReviews(database.read, person.tenant, 'open', 1);
  if (!review) throw new Error('no review is open');
  const request = { id: review.id, verdict, seal: review.subject.seal, comment, how: 'cli' as const };
  await database.write((trx) => decide(trx, libraryReviewEnds, person, request, Date.now()));
}

async function connect(app: App, principal: Principal): Promise<Client> {
  const [clientSide, serverSide] = InMemoryTransport.createLinkedPair();
  const server = createMcpServer(app, principal);
  await server.connect(serverSide);
  const client = new Client({ name: principal.id, version: '1.0.0' }, {});
  await client.connect(clientSide);
  onTestFinished(async () => {
    await client.close();
    await server.close();
  });
  return client;
}
