import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import Database from 'better-sqlite3';
import { beforeAll, describe, expect, it } from 'vitest';
import { distFile, packageRoot } from '../../src/package.ts';
import { draft } from '../helpers/app.ts';
import { needsNode22, node22 } from '../helpers/node22.ts';
import { atEnd, makeHome, runCli } from '../helpers/process.ts';

/** The built command in an installation without better-sqlite3, as after an install script that was not allowed to run. */
let script: string;

beforeAll(() => {
  const installed = makeHome();
  cpSync(join(distFile('cli/main.js'), '../..'), join(installed, 'dist'), { recursive: true });
  cpSync(join(packageRoot, 'package.json'), join(installed, 'package.json'));
  mkdirSync(join(installed, 'node_modules'));
  symlinkSync(join(packageRoot, 'node_modules/esbuild'), join(installed, 'node_modules/esbuild'));
  script = join(installed, 'dist/cli/main.js');
});

const environment = (home: string) => ({ PATH: process.env.PATH ?? '', HOME: home, TOOLWEAVER_HOME: home });

function run(home: string, ...args: string[]): Promise<{ code: unknown; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const options = { env: environment(home), timeout: 20_000 };
    execFile(node22, [script, ...args, '--json'], options, (error, stdout, stderr) =>
      resolve({ code: error ? error.code : 0, stdout, stderr }),
    );
  });
}

async function connect(home: string): Promise<Client> {
  const env = environment(home);
  const transport = new StdioClientTransport({ command: node22, args: [script, 'serve'], env, stderr: 'ignore' });
  const client = new Client({ name: 'test', version: '1.0.0' }, {});
  atEnd(() => client.close());
  await client.connect(transport);
  return client;
}

const use = async (client: Client, name: string, input: Record<string, unknown>): Promise<unknown> =>
  (await client.callTool({ name, arguments: input })).structuredContent;

describe.skipIf(needsNode22 !== '')(`Node's own SQLite, where better-sqlite3 is missing${needsNode22}`, () => {
  it('keeps what is saved, for calls and for other commands', async () => {
    const home = makeHome();
    writeFileSync(join(home, 'draft.json'), JSON.stringify(draft()));
    const saved = await run(home, 'save', join(home, 'draft.json'));
    expect([saved.code, saved.stderr]).toEqual([0, '']);
    expect(JSON.parse(saved.stdout)).toMatchObject({ name: 'double', state: 'active' });
    const called = await run(home, 'call', 'double', '{"x":21}');
    expect([called.code, JSON.parse(called.stdout)]).toEqual([0, { y: 42 }]);
    const verified = await run(home, 'verify');
    expect(JSON.parse(verified.stdout)).toMatchObject({ versions: 1, faults: [] });
    // The same file for the other library.
    expect(JSON.parse((await runCli(['list', '--json'], { home })).stdout)).toEqual(
      JSON.parse((await run(home, 'list')).stdout),
    );
  });

  it('lets two servers share a home, and saves of both at once', async () => {
    const home = makeHome();
    const [one, other] = await Promise.all([connect(home), connect(home)]);
    const names = Array.from({ length: 10 }, (_, n) => `skill-${n}`);
    await Promise.all(names.map((name, n) => use(n % 2 ? one : other, 'save_skill', draft({ name }))));
    for (const [n, name] of names.entries())
      expect(await use(n % 2 ? other : one, name, { x: n })).toEqual({ y: 2 * n });
    const raw = new Database(join(home, 'toolweaver.db'), { readonly: true });
    expect(raw.prepare("select count(*) from versions where state = 'active'").pluck().get()).toBe(10);
    raw.close();
  });

  it('backs up, refuses to restore while in use, restores and compacts', async () => {
    const home = makeHome();
    writeFileSync(join(home, 'draft.json'), JSON.stringify(draft()));
    await run(home, 'save', join(home, 'draft.json'));
    const copy = join(home, 'copy.db');
    expect((await run(home, 'backup', copy)).code).toBe(0);
    const client = await connect(home);
    expect(await use(client, 'double', { x: 1 })).toEqual({ y: 2 });
    const used = await run(home, 'restore', copy);
    expect(JSON.parse(used.stderr).error).toMatchObject({ code: 'busy' });
    await client.close();
    expect((await run(home, 'restore', copy)).code).toBe(0);
    expect(JSON.parse((await run(home, 'compact')).stdout)).toEqual({ runs: 0, blobs: 0 });
  });

  it('names a damaged file, as better-sqlite3 does', async () => {
    const home = makeHome();
    writeFileSync(join(home, 'toolweaver.db'), 'a note that somebody put here\n'.repeat(500));
    const { code, stderr } = await run(home, 'list');
    expect([code, JSON.parse(stderr).error.code]).toEqual([1, 'database_damaged']);
  });
});

describe('a Node without SQLite and without better-sqlite3', () => {
  it('says what to install', async () => {
    const { code, stderr } = await runCli(['list', '--json'], { home: makeHome(), script });
    const isOld = Number(process.versions.node.split('.')[0]) < 22;
    if (!isOld) return expect(code).toBe(0);
    expect(code).toBe(1);
    expect(JSON.parse(stderr).error).toMatchObject({
      code: 'not_supported',
      message: expect.stringContaining('better-sqlite3'),
      hint: expect.stringContaining('npm install better-sqlite3'),
    });
  });
});
