import { join } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { createProgram } from '../../src/cli/program.ts';
import { kebab, settingNames } from '../../src/config.ts';
import { saveSkill } from '../helpers/drafts.ts';
import { type CliResult, makeHome, runCli, startServer, until } from '../helpers/process.ts';
import { type RecordingApp, recordingApp } from '../helpers/recordings.ts';

interface Desk {
  home: string;
  /** What a person types there. */
  cli(...args: string[]): Promise<CliResult>;
}

/** A home in which this was done while runs were recorded. */
async function desk(work: (app: RecordingApp) => Promise<unknown>): Promise<Desk> {
  const home = makeHome();
  await inHome(home, work);
  return { home, cli: (...args) => runCli(args, { home }) };
}

async function inHome<T>(home: string, work: (app: RecordingApp) => Promise<T>): Promise<T> {
  const app = await recordingApp({ settings: { home }, file: join(home, 'toolweaver.db') });
  try {
    return await work(app);
  } finally {
    await app.close();
  }
}

const latestIn = (home: string, tool: string): Promise<string> =>
  inHome(home, async (app) => (await app.recorded(tool))[0] ?? 'none');

describe('replay', () => {
  it('lists what is recorded, and says equal, changed with a difference, or failed with the call', async () => {
    const body = 'const { y } = await ctx.tools.inner({ x: input.x }); return { y, at: ctx.now(), r: ctx.random() };';
    const { home, cli } = await desk(async (app) => {
      await saveSkill(app, 'inner', 'return { y: input.x * 2 };');
      await saveSkill(app, 'outer', body);
      await app.use('outer', { x: 3 });
      await saveSkill(app, 'outer', body.replace('return { y,', 'return { y: y + 1,'));
      await saveSkill(app, 'outer', 'return ctx.tools.inner({ x: 0 });');
    });
    const run = await latestIn(home, 'outer');
    const [table, json] = await Promise.all([cli('replay', '--list'), cli('replay', '--list', '--json')]);
    expect(table.stdout).toMatch(new RegExp(`^${run} +outer 1\\.0\\.0 +done +\\d+ +agent:test +20`, 'm'));
    const { recordings } = JSON.parse(json.stdout);
    expect(recordings.map((one: { tool: string }) => one.tool).sort()).toEqual(['inner', 'outer']);
    const call = recordings.find((one: { run_id: string }) => one.run_id === run).call_id;
    const [byRun, byCall, changed, failed] = await Promise.all([
      cli('replay', run),
      cli('replay', call),
      cli('replay', run, '--version', '1.0.1'),
      cli('replay', run, '--version=1.0.2', '--json'),
    ]);
    const equal = { code: 0, stdout: `${run}: outer 1.0.0, replayed by 1.0.0\nequal\n`, stderr: '' };
    expect([byRun, byCall]).toEqual([expect.objectContaining(equal), expect.objectContaining(equal)]);
    expect(changed.code).toBe(1);
    expect(changed.stdout).toMatch(/^changed\n--- recorded\n\+\+\+ replayed\n@@[\s\S]*\n-\s+"y": 6\n\+\s+"y": 7\n/m);
    expect([failed.code, JSON.parse(failed.stdout)]).toEqual([
      1,
      {
        ...{ run_id: run, tool: 'outer', recorded: '1.0.0', replayed: '1.0.2', result: 'failed' },
        ...{ reason: expect.stringContaining('did not make'), call: { name: 'inner', input: { x: 0 } } },
      },
    ]);
  });

  it('says how to record where nothing is, since nobody asked for it', async () => {
    const { cli } = await desk(async () => {});
    const [call, list, none] = await Promise.all([
      cli('call', 'search_tools', '{"queries":["x"]}'),
      cli('replay', '--list'),
      cli('replay', 'run_none'),
    ]);
    expect([call.code, list.code, list.stdout]).toEqual([0, 0, expect.stringContaining('TOOLWEAVER_RECORD_RUNS=100')]);
    expect([none.code, none.stderr]).toEqual([1, expect.stringMatching(/^error \[not_found\].*\nhint: .*--list/)]);
  });

  it('wants either one run or the list, and a person to show texts whole', async () => {
    const { cli } = await desk(async () => {});
    const wrong = [[], ['--list', 'run_x'], ['--list', '--version', '1.0.0'], ['a', 'b'], ['a', '--versoin', '1']];
    const codes = await Promise.all(wrong.map(async (args) => (await cli('replay', ...args)).code));
    expect(codes).toEqual([2, 2, 2, 2, 2]);
    const whole = await cli('replay', 'run_x', '--whole');
    expect([whole.code, whole.stderr]).toEqual([3, expect.stringContaining('[needs_person]')]);
  });

  it('cuts long texts, and shows them whole to a person at a terminal', async () => {
    const { cli, home } = await desk(async (app) => {
      await saveSkill(app, 'long', "return 'a'.repeat(300) + 'b';");
      await app.use('long');
      await saveSkill(app, 'long', "return 'a'.repeat(300) + 'c';");
    });
    const args = ['replay', await latestIn(home, 'long'), '--version', '1.0.1'];
    const [cut, whole] = await Promise.all([cli(...args), runCli([...args, '--whole'], { home, isTerminal: true })]);
    expect(cut.stdout).toContain('(301 characters, sha256 ');
    expect(cut.stdout).not.toMatch(/a{201}/);
    expect(whole.stdout).toMatch(/a{300}b/);
    expect(whole.stdout).toMatch(/a{300}c/);
  });

  it('is what a reviewer is shown of a proposed version', async () => {
    const { cli } = await desk(async (app) => {
      await saveSkill(app, 'asks', 'return { y: input.x };');
      for (const x of [1, 2, 3]) await app.use('asks', { x });
      app.library.approval = 'always';
      await saveSkill(app, 'asks', 'return { y: input.x === 3 ? 4 : input.x };');
      await saveSkill(app, 'fresh', 'return 1;');
    });
    const { reviews } = JSON.parse((await cli('review', 'list', '--json')).stdout);
    const idOf = (name: string) => reviews.find((one: { name: string }) => one.name === name).id;
    const [text, json, fresh] = await Promise.all([
      cli('review', 'show', idOf('asks')),
      cli('review', 'show', idOf('asks'), '--json'),
      cli('review', 'show', idOf('fresh')),
    ]);
    expect(text.stdout).toContain('replay  2 equal, 1 changed, 0 failed, of the latest recorded runs of 1.0.0\n');
    expect(JSON.parse(json.stdout).replay).toEqual({ equal: 2, changed: 1, failed: 0, skipped: 0 });
    expect(fresh.stdout).not.toContain('replay ');
  });

  it('has all but the run under which the server was killed', async () => {
    const { cli, home } = await desk(async (app) => {
      await saveSkill(app, 'quick', 'return input;');
      await saveSkill(app, 'spins', 'for (;;);');
    });
    const server = await startServer({ home, env: { TOOLWEAVER_RECORD_RUNS: '10' } });
    await server.callTool('quick', { a: 1 });
    await until(async () => (await latestIn(home, 'quick')) !== 'none');
    server.send({ id: 99, method: 'tools/call', params: { name: 'spins', arguments: {} } });
    await server.callTool('quick', { a: 2 });
    server.child.kill('SIGKILL');
    await server.ended;
    const run = await latestIn(home, 'quick');
    const [replayed, verified] = await Promise.all([cli('replay', run), cli('verify')]);
    expect([replayed.code, verified.code, await latestIn(home, 'spins')]).toEqual([0, 0, 'none']);
    await inHome(home, (app) => app.use('quick', { a: 3 }));
    expect(await latestIn(home, 'quick')).not.toBe(run);
  });

  it('still opens what was recorded before a rotation of keys', async () => {
    const { cli, home } = await desk(async (app) => {
      await saveSkill(app, 'quick', 'return input;');
      await app.use('quick');
    });
    expect((await cli('secret', 'rotate')).code).toBe(0);
    expect((await cli('replay', await latestIn(home, 'quick'))).code).toBe(0);
  });
});

describe('the flags of settings', () => {
  it('stand before a command, after it, and after a part of it', async () => {
    const { cli } = await desk(async () => {});
    const places = [
      ['--log-level', 'loud', 'review', 'list'],
      ['review', '--log-level', 'loud', 'list'],
      ['review', 'list', '--log-level', 'loud'],
      ['list', '--log-level=loud'],
    ];
    const refused = { code: 2, stderr: expect.stringContaining('--log-level: ') };
    for (const one of await Promise.all(places.map((args) => cli(...args)))) expect(one).toMatchObject(refused);
    const [part, whole, version] = await Promise.all([
      cli('review', 'list', '--help'),
      cli('--help'),
      cli('--version'),
    ]);
    expect(part.stdout).not.toContain('--log-level');
    expect(whole.stdout).toContain('--log-level');
    expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it('are no flags of any command by itself', () => {
    const flags = settingNames.map((name) => `--${kebab(name)}`);
    const below = (command: Command): Command[] => command.commands.flatMap((one) => [one, ...below(one)]);
    const own = below(createProgram({})).flatMap(({ options }) => options.map(({ long }) => String(long)));
    expect(own).toContain('--version');
    expect(own.filter((long) => flags.includes(long))).toEqual([]);
  });
});
