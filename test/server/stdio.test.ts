import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { draft } from '../helpers/app.ts';
import {
  descendants,
  isRunning,
  makeHome,
  openFiles,
  type RawServer,
  startServer,
  survivors,
  textOf,
  until,
  watchdogMs,
} from '../helpers/process.ts';

// Promised is a second; a loaded machine gets half of one more. What spins would go on for two.
const endsWithinMs = 1_500;

const spinner = draft({
  name: 'spin',
  language: 'typescript',
  code: 'export default (input: { x: number }, ctx) => { ctx.progress(1); while (input.x > 2); return { y: input.x * 2 }; }',
});

/** A server whose skill spins in the sandbox, and every process below it: the sandbox and the compiler. */
async function spinningServer(): Promise<{ server: RawServer; below: number[] }> {
  const server = await startServer({ home: makeHome() });
  await server.callTool('save_skill', spinner);
  const _meta = { progressToken: 'spin' };
  server.send({ id: 'spin', method: 'tools/call', params: { name: 'spin', arguments: { x: 3 }, _meta } });
  await server.hears((message) => message.method === 'notifications/progress');
  const below = descendants(server.pid);
  expect(below.length).toBeGreaterThanOrEqual(2);
  return { server, below };
}

describe.concurrent('serve', () => {
  it('answers with protocol and nothing else, also when skills log and fail at debug level', async () => {
    const server = await startServer({ home: makeHome(), env: { TOOLWEAVER_LOG_LEVEL: 'debug' } });
    const code = `export default function run(input, ctx) {
      console.log('noise of a skill'); ctx.log('more noise');
      if (input.x > 2) throw new Error('meant to fail');
      return { y: input.x * 2 };
    }`;
    await server.callTool('save_skill', draft({ name: 'noisy', code }));
    await server.callTool('noisy', { x: 1 });
    const failed = await server.callTool('noisy', { x: 3 });
    expect(failed.result.isError).toBe(true);
    server.send('{"broken');
    await server.request('tools/list');

    expect(server.log()).toContain('noise of a skill');
    expect(server.lines.length).toBeGreaterThan(4);
    for (const line of server.lines) expect(JSON.parse(line)).toMatchObject({ jsonrpc: '2.0' });

    // Nor is it troubled when nobody reads its log any more.
    server.child.stderr.destroy();
    for (let n = 0; n < 3; n++) {
      expect((await server.callTool('noisy', { x: 1 })).result.structuredContent).toEqual({ y: 2 });
    }
    server.child.stdin.end();
    expect((await server.ended).code).toBe(0);
  });

  it('goes on serving after requests before initialize, broken JSON, batches, wrong shapes, unknown methods', async () => {
    const server = await startServer({ home: makeHome(), initialize: false });
    expect((await server.request('tools/list')).result.tools.length).toBeGreaterThan(0);
    const clientInfo = { name: 'late', version: '1.0.0' };
    const late = await server.request('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo });
    expect(late.result.protocolVersion).toBe('2025-11-25');
    const garbage = [
      '{"jsonrpc":"2.0","id":7,',
      '[]',
      '42',
      'null',
      '"text"',
      '',
      '\u0000\u0001',
      '{}',
      '{"jsonrpc":"1.0","id":8}',
    ];
    for (const line of garbage) server.send(line);
    server.send('[{"jsonrpc":"2.0","id":9,"method":"tools/list"}]');
    server.send('{"jsonrpc":"2.0","id":{"a":1},"method":"tools/list"}');
    server.child.stdin.write(Buffer.from([0xff, 0xfe, 0x0a]));

    expect((await server.request('tools/nothing')).error.code).toBe(-32601);
    expect((await server.request('tools/call', { name: 5 })).error.code).toBe(-32602);
    expect((await server.request('tools/call', { name: 'search_tools', arguments: [] })).error.code).toBe(-32602);
    expect((await server.request('tools/list')).result.tools.length).toBeGreaterThan(0);
  });

  it('leaves out a line of over 10 MB, and refuses smaller and deep ones in words', async () => {
    const server = await startServer({ home: makeHome() });
    const queries = ['x'.repeat(12_000_000)];
    server.send({ id: 'huge', method: 'tools/call', params: { name: 'search_tools', arguments: { queries } } });

    expect((await server.request('tools/list')).result.tools.length).toBeGreaterThan(0);
    expect(server.log()).toContain('too long');
    const large = await server.callTool('search_tools', { queries: ['x'.repeat(5_000_000)] });
    expect(textOf(large.result)).toMatch(/^\[bad_input\]/);
    const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;
    const params = `{"name":"search_tools","arguments":{"a":${deep}}}`;
    server.send(`{"jsonrpc":"2.0","id":"deep","method":"tools/call","params":${params}}`);
    const answer = await server.hears((message) => message.id === 'deep');
    expect(textOf(answer?.result)).toMatch(/^\[bad_input\]/);
    server.child.stdin.end();
    expect(await server.ended).toEqual({ code: 0, signal: null });
  });
});

describe.concurrent('the end of serve', () => {
  it('comes within a second of the end of stdin, with 0 and without a process left, also while a skill spins', async () => {
    const { server, below } = await spinningServer();
    server.child.stdin.end();
    expect(await survivors([server.pid, ...below], endsWithinMs)).toEqual([]);
    expect(await server.ended).toEqual({ code: 0, signal: null });
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('comes the same way at %s', async (signal) => {
    const { server, below } = await spinningServer();
    server.child.kill(signal);
    expect(await survivors([server.pid, ...below], endsWithinMs)).toEqual([]);
    expect(await server.ended).toEqual({ code: 0, signal: null });
  });

  it('leaves no child of the sandbox and no compiler behind when the server is killed', async () => {
    const { server, below } = await spinningServer();
    server.child.kill('SIGKILL');
    expect(await survivors(below, 2_000)).toEqual([]);
  });

  it('comes when the host stops reading stdout', async () => {
    const server = await startServer({ home: makeHome() });
    server.child.stdout.destroy();
    server.send({ id: 'last', method: 'tools/list' });
    await until(() => !isRunning(server.pid), watchdogMs);
    expect((await server.ended).code).toBe(0);
  });

  it('comes when the client of a subscription reads nothing any more', async () => {
    const server = await startServer({ home: makeHome(), initialize: false });
    const _meta = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': {},
      'io.modelcontextprotocol/clientInfo': { name: 'raw', version: '1.0.0' },
    };
    const notifications = { toolsListChanged: true };
    server.send({ id: 'listen', method: 'subscriptions/listen', params: { _meta, notifications } });
    await server.hears(({ method }) => method === 'notifications/subscriptions/acknowledged');
    server.child.stdout.pause();
    for (let id = 100; id < 300; id++) server.send({ id, method: 'tools/list', params: { _meta } });
    await sleep(300);
    server.child.kill('SIGTERM');
    expect(await survivors([server.pid], 3_000)).toEqual([]);
    server.child.stdout.resume();
    expect(await server.ended).toEqual({ code: 0, signal: null });
  });

  it('comes when the signal arrives while it still starts', async () => {
    const home = makeHome();
    const file = join(home, 'toolweaver.db');
    const locked = new Database(file);
    locked.exec('begin exclusive');
    const server = await startServer({ home, initialize: false });
    expect(await until(() => openFiles(server.pid).includes(file))).toBe(true);
    server.child.kill('SIGTERM');
    locked.exec('rollback');
    locked.close();
    expect(await survivors([server.pid], 5_000)).toEqual([]);
    expect(await server.ended).toEqual({ code: 0, signal: null });
  });
});
