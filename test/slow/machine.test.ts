import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import Database from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { draft } from '../helpers/app.ts';
import {
  atEnd,
  command,
  descendants,
  makeHome,
  openFiles,
  processesWith,
  type RawServer,
  runCli,
  startServer,
  textOf,
  until,
} from '../helpers/process.ts';

// The whole command on a real machine. These wait for locks, disks and processes, so they wait side by side.

const isRoot = process.getuid?.() === 0;
const works = (program: string, ...args: string[]): boolean => {
  try {
    execFileSync(program, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};

const save = (server: RawServer, name: string) => server.callTool('save_skill', draft({ name }));

describe.concurrent('a locked database', () => {
  it('ends saves as busy after ten seconds, while the server goes on answering', { timeout: 30_000 }, async () => {
    const home = makeHome();
    const server = await startServer({ home });
    await save(server, 'before');
    const unlock = lock(home);
    const started = Date.now();
    // The event of this call waits for the lock as well, in front of the saves.
    await server.callTool('before', { x: 1 });
    await sleep(600);
    for (const name of ['first', 'second']) {
      const params = { name: 'save_skill', arguments: draft({ name }) };
      server.send({ id: name, method: 'tools/call', params });
    }

    const answered = (id: string) => server.lines.some((line) => line.includes(`"id":"${id}"`));
    let slowest = 0;
    while (!answered('first') && Date.now() - started < 20_000) {
      const asked = Date.now();
      expect((await server.callTool('before', { x: 2 })).result.structuredContent).toEqual({ y: 4 });
      slowest = Math.max(slowest, Date.now() - asked);
      await sleep(250);
    }
    expect(Date.now() - started).toBeGreaterThan(9_000);
    expect(slowest).toBeLessThan(4_000);
    // They have waited together, and not one after the other.
    expect(await until(() => answered('second'), 5_000)).toBe(true);
    for (const id of ['first', 'second']) {
      const answer = await server.hears((message) => message.id === id);
      expect(textOf(answer?.result)).toMatch(/^\[busy\] .* stayed locked for 10 s/);
    }
    unlock();
    expect((await save(server, 'after')).result.structuredContent).toMatchObject({ state: 'active' });
  });

  it('only delays a save when it is free again in time', async () => {
    const home = makeHome();
    const server = await startServer({ home });
    const unlock = lock(home);
    setTimeout(unlock, 1_000);
    expect((await save(server, 'delayed')).result.structuredContent).toMatchObject({ state: 'active' });
  });
});

/** Holds the write lock of a home's database, as a backup would. */
function lock(home: string): () => void {
  const holder = new Database(join(home, 'toolweaver.db'));
  holder.exec('begin immediate');
  return () => {
    holder.exec('rollback');
    holder.close();
  };
}

const canMount = isRoot && works('sh', '-c', 'd=$(mktemp -d) && mount -t tmpfs tmpfs $d && umount $d && rmdir $d');

describe.concurrent('a full disk (needs root and tmpfs)', () => {
  it.skipIf(!canMount)(
    'fails the save and keeps nothing half; the server goes on, and saves when there is room',
    async () => {
      const disk = mountSmallDisk();
      const home = join(disk, 'home');
      const server = await startServer({ home });
      await save(server, 'before');
      const large = { name: 'large', output_schema: undefined, examples: [{ input: { x: 0 }, output: { text: '' } }] };
      await server.callTool(
        'save_skill',
        draft({ ...large, code: 'export default (i) => ({ text: "x".repeat(i.x) });' }),
      );

      const { bavail, bsize } = statfsSync(disk);
      // More than there is: whatever is free is taken.
      expect(() => writeFileSync(join(disk, 'filler'), Buffer.alloc((bavail + 100) * bsize))).toThrow('ENOSPC');
      const full = await server.callTool('save_skill', draft({ name: 'full', description: 'd'.repeat(2_000) }));
      expect(textOf(full.result)).toMatch(/^\[database_unavailable\] .*disk/s);
      expect((await server.callTool('before', { x: 3 })).result.structuredContent).toEqual({ y: 6 });
      const done = await server.callTool('large', { x: 60_000 });
      expect(textOf(done.result)).toMatch(
        /^\[too_large\] large is done; .*could not be kept: \[database_unavailable\]/,
      );
      const { tools } = (await server.request('tools/list')).result;
      expect(tools.map((tool: { name: string }) => tool.name)).not.toContain('full');

      rmSync(join(disk, 'filler'));
      expect((await save(server, 'full')).result.structuredContent).toMatchObject({
        version: '1.0.0',
        state: 'active',
      });
      server.child.stdin.end();
      expect((await server.ended).code).toBe(0);
      const kept = new Database(join(home, 'toolweaver.db'), { readonly: true });
      expect(kept.pragma('integrity_check', { simple: true })).toBe('ok');
      expect(kept.prepare('select name from versions order by name').pluck().all()).toEqual([
        'before',
        'full',
        'large',
      ]);
      kept.close();
    },
  );
});

function mountSmallDisk(): string {
  const place = makeHome();
  const shell = (line: string) => execFileSync('sh', ['-c', line, place]);
  shell('mount -t tmpfs -o size=6m tmpfs "$0"');
  atEnd(() => shell('umount -l "$0"'));
  return place;
}

describe.concurrent('a home on a disk that becomes read-only (needs root and tmpfs)', () => {
  const remount = (disk: string, how: 'ro' | 'rw') => execFileSync('sh', ['-c', `mount -o remount,${how} "$0"`, disk]);

  it.skipIf(!canMount)(
    'is named by commands and servers that start, and is as it was when it can be written',
    async () => {
      const disk = mountSmallDisk();
      const home = join(disk, 'home');
      const before = await startServer({ home });
      await save(before, 'before');
      before.child.stdin.end();
      expect((await before.ended).code).toBe(0);
      remount(disk, 'ro');
      for (const words of [['list'], ['serve'], ['call', 'before', '{"x":1}']]) {
        const { code, stdout, stderr } = await runCli(words, { home });
        expect([words, code, stdout]).toEqual([words, 1, '']);
        expect(stderr).toMatch(/^error \[database_unavailable\] .*cannot be written.*\nhint: .*read-only/);
      }
      remount(disk, 'rw');
      const after = await startServer({ home });
      expect((await after.callTool('before', { x: 3 })).result.structuredContent).toEqual({ y: 6 });
      expect((await save(after, 'after')).result.structuredContent).toMatchObject({ state: 'active' });
    },
  );
});

const nobody = 65_534;
const hasOtherUser = isRoot && works('runuser', '-u', 'nobody', '--', process.execPath, command, '--version');

describe.concurrent('a home that may not be written (needs root, runuser and a build that others may read)', () => {
  const asNobody = (home: string, ...args: string[]) => runCli(args, { home, user: 'nobody', env: { HOME: '/' } });

  it.skipIf(!hasOtherUser)('is named when it cannot be made', async () => {
    const parent = makeHome();
    chmodSync(parent, 0o755);
    const { code, stderr } = await asNobody(join(parent, 'home'), 'list');
    expect([code, stderr]).toEqual([1, expect.stringMatching(/^error \[database_unavailable\] .*cannot be made/)]);
    expect(stderr).toContain('TOOLWEAVER_HOME');
  });

  it.skipIf(!hasOtherUser)('is named when it is there', async () => {
    const home = makeHome();
    chmodSync(home, 0o755);
    const { code, stderr } = await asNobody(home, 'list');
    expect([code, stderr]).toEqual([1, expect.stringMatching(/^error \[database_unavailable\] .*toolweaver\.db/)]);
    expect(existsSync(join(home, 'toolweaver.db'))).toBe(false);
  });

  it.skipIf(!hasOtherUser)('is named when the database in it is another user’s', async () => {
    const home = makeHome();
    await runCli(['list'], { home });
    chmodSync(home, 0o755);
    chmodSync(join(home, 'toolweaver.db'), 0o644);
    const { code, stderr } = await asNobody(home, 'list');
    expect([code, stderr]).toEqual([1, expect.stringMatching(/^error \[database_unavailable\] /)]);
  });

  it.skipIf(!hasOtherUser)('is no trouble to the user who owns it', async () => {
    const home = join(makeHome(), 'own');
    mkdirSync(home);
    chownSync(home, nobody, nobody);
    chmodSync(join(home, '..'), 0o755);
    expect(await asNobody(home, 'list', '--json')).toMatchObject({ code: 0, stderr: '' });
  });
});

describe.concurrent('the demo', () => {
  const leftovers = (folder: string) => readdirSync(folder).filter((name) => name.startsWith('toolweaver-demo-'));

  it('ends well, and leaves no folder, no process and no trace in its user’s library', {
    timeout: 40_000,
  }, async () => {
    const home = makeHome();
    const env = { TMPDIR: home, TOOLWEAVER_APPROVAL: 'auto', DATABASE_URL: `sqlite://${home}/own.db` };
    const { code, stdout, stderr } = await runCli(['demo'], { home, env });
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout.match(/^\d\. /gm)).toHaveLength(7);
    expect(stdout).toContain('Done');
    expect(stdout).not.toContain('\u001b');
    expect(readdirSync(home)).toEqual([]);
    expect(processesWith(home)).toEqual([]);
  });

  it('cleans up when it is stopped half-way', async () => {
    const home = makeHome();
    const demo = runCli(['demo', '--json'], {
      home,
      env: { TMPDIR: home },
      stopWhen: () => leftovers(home).length > 0,
    });
    const { code, stdout, stderr } = await demo;
    expect([code, stdout]).toEqual([1, '']);
    expect(JSON.parse(stderr).error.code).toBe('cancelled');
    expect(leftovers(home)).toEqual([]);
    expect(await until(() => processesWith(home).length === 0)).toBe(true);
  });
});

describe.concurrent('colour', () => {
  it.each<[string, Record<string, string>, boolean]>([
    ['is for terminals', {}, true],
    ['is left out where NO_COLOR is set', { NO_COLOR: '1' }, false],
  ])('%s', async (_, env, isColoured) => {
    const home = makeHome();
    const stopWhen = (stdout: string): boolean => stdout.includes('A host connects');
    const { stdout } = await runCli(['demo'], { home, isTerminal: true, env: { TMPDIR: home, ...env }, stopWhen });
    expect(stdout.includes('\u001b[1m')).toBe(isColoured);
  });
});

describe.concurrent('Ctrl-C', () => {
  it('stops a call while its code spins', async () => {
    const home = makeHome();
    const code = 'export default (input) => { while (input.x > 2); return { y: input.x * 2 }; }';
    writeFileSync(join(home, 'spins.json'), JSON.stringify(draft({ name: 'spins', code })));
    await runCli(['save', join(home, 'spins.json')], { home });
    const stopWhen = (_: string, pid: number) => descendants(pid).length > 0;
    const stopped = await runCli(['call', 'spins', '{"x":3}'], { home, stopWhen });
    expect(stopped).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/^error \[cancelled\]/) });
  });

  it('ends a command that waits for its input', async () => {
    const stopWhen = (_: string, pid: number) => openFiles(pid).some((file) => file.endsWith('toolweaver.db'));
    const stopped = await runCli(['call', 'search_tools', '-'], { home: makeHome(), input: null, stopWhen });
    expect(stopped).toMatchObject({ code: 1, stdout: '', signal: null });
  });
});

describe.concurrent('a new user', () => {
  it('saves and calls a skill with nothing but the configuration that install prints', async () => {
    const home = makeHome();
    const printed = await runCli(['install', 'claude', '--print'], { home });
    const { command: program, args, env } = JSON.parse(printed.stdout).mcpServers.toolweaver;
    const client = new Client({ name: 'claude', version: '1.0.0' }, {});
    atEnd(() => client.close());
    // As a host starts it: from another folder, without the shell's PATH.
    const transport = new StdioClientTransport({ command: program, args, env, cwd: '/', stderr: 'ignore' });
    await client.connect(transport);
    const saved = await client.callTool({ name: 'save_skill', arguments: draft() });
    expect(saved.structuredContent).toMatchObject({ name: 'double', state: 'active' });
    const called = await client.callTool({ name: 'double', arguments: { x: 21 } });
    expect(called.structuredContent).toEqual({ y: 42 });
    expect((await client.listTools()).tools.map((tool) => tool.name)).toContain('double');
    const listed = await runCli(['list', '--json'], { home });
    expect(JSON.parse(listed.stdout).tools).toContainEqual(
      expect.objectContaining({ name: 'double', version: '1.0.0' }),
    );
  });
});
