import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, readdirSync, readFileSync, readlinkSync, realpathSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { build } from 'esbuild';
import { expect, onTestFinished, test } from 'vitest';
import { distFile, packageRoot } from '../../src/package.ts';
import { confinement } from '../../src/sandbox/child-process.ts';
import { temporaryFolder } from '../helpers/app.ts';
import { cpuTicks, endOf, hasProc, isAlive, jobOf, newSandboxPid, openSandbox, sandboxPids, until } from './jobs.ts';

test.skipIf(!hasProc)(
  "the child has no environment, and none of its server's files and sockets (needs /proc)",
  async () => {
    const listener = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void listener.close());
    await once(listener, 'listening');
    const before = sandboxPids();
    const one = openSandbox(1);
    expect(endOf(await one.run(jobOf('doubles', { input: { x: 2 } })))).toEqual({ y: 4 });
    const pid = newSandboxPid(before);
    expect(readFileSync(`/proc/${pid}/environ`, 'utf8')).toBe('');
    const own = new Set(openThings('self').filter((name) => /^\/|^socket:/.test(name) && name !== '/dev/null'));
    expect(own.size).toBeGreaterThan(0);
    expect(openThings(pid).filter((name) => own.has(name))).toEqual([]);
  },
);

function openThings(pid: number | 'self'): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${fd}`)];
    } catch {
      // Closed since the folder was read.
      return [];
    }
  });
}

const probe = `
import fs from 'node:fs';
import { fork, spawnSync } from 'node:child_process';
import { Worker } from 'node:worker_threads';
const attempt = (name, work) => {
  try { work(); return [name, 'done']; } catch (error) { return [name, error.code ?? error.name]; }
};
const outside = process.argv[2];
console.log(JSON.stringify(Object.fromEntries([
  attempt('read its own folder', () => fs.readFileSync(import.meta.filename ?? process.argv[1])),
  attempt('read outside', () => fs.readFileSync(outside)),
  attempt('list outside', () => fs.readdirSync('/')),
  attempt('read by a detour', () => fs.readFileSync(new URL('../' + outside.split('/').at(-2) + '/' + outside.split('/').at(-1), import.meta.url))),
  attempt('write inside', () => fs.writeFileSync('new.txt', 'x')),
  attempt('link', () => fs.symlinkSync(outside, 'link.txt')),
  attempt('start a process', () => spawnSync('true')),
  attempt('fork itself', () => fork(process.argv[1])),
  attempt('environment', () => { if (Object.keys(process.env).length > 0) throw new Error('not empty'); }),
])));
`;

test('a program started as the child is reads nothing outside its folder, writes nothing and starts nothing', () => {
  const folder = realpathSync(temporaryFolder());
  const outside = join(realpathSync(temporaryFolder()), 'secret.txt');
  writeFileSync(outside, 'secret');
  writeFileSync(join(folder, 'probe.mjs'), probe);
  const result = spawnSync(process.execPath, [...confinement(folder), join(folder, 'probe.mjs'), outside], {
    cwd: folder,
    env: {},
    encoding: 'utf8',
  });
  expect(JSON.parse(result.stdout)).toEqual({
    'read its own folder': 'done',
    'read outside': 'ERR_ACCESS_DENIED',
    'list outside': 'ERR_ACCESS_DENIED',
    'read by a detour': 'ERR_ACCESS_DENIED',
    'write inside': 'ERR_ACCESS_DENIED',
    link: 'ERR_ACCESS_DENIED',
    'start a process': 'ERR_ACCESS_DENIED',
    'fork itself': 'ERR_ACCESS_DENIED',
    environment: 'done',
  });
});

const server = `
import { openQuickJs } from './src/sandbox/quickjs.ts';
import { defaultLimits } from './src/sandbox/sandbox.ts';
const sandbox = openQuickJs({ threads: 2 });
for (const text of JSON.parse(process.argv[2])) {
  void sandbox.run({
    id: 'x', program: { hash: text, text }, input: {}, now: 0, seed: 0, callTool: async () => {},
    limits: { ...defaultLimits, cpuMs: 60_000, wallMs: 60_000 }, signal: new AbortController().signal,
  });
}
`;

test.skipIf(!hasProc).each([
  ['nothing', ['export default () => 1']],
  ['two endless loops', ['export default () => { for (;;); }', 'export default () => { for (;;) ; }']],
  [
    'built-ins that cannot be interrupted',
    ["export default () => new Array(1e9) + ''", 'export default () => [] + new Array(1e9)'],
  ],
])('the child ends within a second of its server’s death while it runs %s (needs /proc)', async (_what, programs) => {
  const folder = realpathSync(temporaryFolder());
  cpSync(distFile('sandbox'), join(folder, 'dist/sandbox'), { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "version": "0.0.0" }');
  const outfile = join(folder, 'server.mjs');
  await build({
    stdin: { contents: server, resolveDir: packageRoot, loader: 'ts' },
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    logLevel: 'silent',
  });
  const child = spawn(process.execPath, [outfile, JSON.stringify(programs)], { stdio: 'ignore' });
  const exited = once(child, 'exit');
  const serverPid = child.pid ?? -1;
  expect(await until(() => sandboxPids(serverPid).length === 1)).toBe(true);
  const pids = sandboxPids(serverPid);
  onTestFinished(() => {
    for (const pid of pids.filter(isAlive)) process.kill(pid, 'SIGKILL');
  });
  const [pid = -1] = pids;
  const busyTicks = programs.length > 1 ? 30 : 1;
  expect(await until(() => cpuTicks(pid) > busyTicks, 10_000)).toBe(true);
  child.kill('SIGKILL');
  await exited;
  expect(await until(() => !isAlive(pid), 1_000)).toBe(true);
});
