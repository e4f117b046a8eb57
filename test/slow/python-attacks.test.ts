import { createSocket } from 'node:dgram';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { distFile } from '../../src/package.ts';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';
import { descendants, makeHome, startServer, survivors } from '../helpers/process.ts';
import { needsPython } from '../helpers/python.ts';
import { brief, cpuTicks, endOf, hasProc, until } from '../sandbox/jobs.ts';
import { openEngine, openSandbox, runIn } from '../sandbox/python-jobs.ts';

describe.skipIf(needsPython !== '')(`attacks from inside of python${needsPython}`, () => {
  let sandbox: Sandbox;
  beforeAll(() => {
    sandbox = openEngine();
  });
  afterAll(() => sandbox.close());

  test('no door leads out: no files, processes, network, environment, and nothing to write to', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'toolweaver-'));
    const file = join(folder, 'secret');
    writeFileSync(file, 'secret');
    process.env.TOOLWEAVER_TEST_SECRET = 'secret';
    const { port, connections, close } = await listen();
    const input = { port, file, pid: process.pid, home: homedir() };
    const result = await runIn(sandbox, 'reaches_out', { input, limits: { memoryMb: 128 } });
    expect(endOf(result)).toMatchObject({ open: [], tried: 54 });
    expect(JSON.stringify(endOf(result))).not.toContain('TOOLWEAVER_TEST_SECRET');
    expect(connections()).toBe(0);
    close();
    delete process.env.TOOLWEAVER_TEST_SECRET;
    rmSync(folder, { recursive: true });
  });

  test('what stands at the root is what Python needs', async () => {
    const text = 'import os\ndef run(input, ctx):\n    return sorted(os.listdir("/")), os.getuid(), list(os.environ)';
    const [root, user, environment] = endOf(await runIn(sandbox, 'root', { text })) as [string[], number, string[]];
    expect(root).not.toContain('proc');
    expect(root).not.toContain('dev');
    expect(root).not.toContain('tmp');
    expect([user, environment]).toEqual([65_534, []]);
  });

  test('a fork bomb makes no process, and the neighbours go on', async () => {
    const one = openSandbox();
    const bomb = runIn(one, 'forks', { limits: brief });
    expect((await runIn(one, 'doubles', { input: { x: 1 } })).ok).toBe(true);
    expect(endOf(await bomb)).toEqual(expect.toSatisfy((end) => end === 0 || end === 'limit_exceeded cpu'));
  });

  test('while one program spins, its neighbours are answered', async () => {
    const spinning = runIn(sandbox, 'spins', { input: { what: 'threads' }, limits: { cpuMs: 1_000 } });
    let answered = 0;
    const done = spinning.then(() => true);
    while (!(await Promise.race([done, runIn(sandbox, 'doubles', { input: { x: 2 } }).then(() => false)]))) answered++;
    expect(endOf(await spinning)).toBe('limit_exceeded cpu');
    expect(answered).toBeGreaterThan(5);
  });

  test('a program that reads no answers is ended before they fill the memory of the server', async () => {
    const large = 'x'.repeat(2_000_000);
    const limits = { hostCallsAtOnce: 100 };
    const result = await runIn(sandbox, 'hoards', { callTool: async () => large, limits });
    expect(endOf(result)).toBe('unavailable');
  });

  test.skipIf(!hasProc)(
    'processes that end at any moment, also while they start, leave none behind (needs /proc)',
    async () => {
      for (let round = 0; round < 16; round++) {
        const one = openEngine();
        const jobs = Array.from({ length: 8 }, (_, i) => runIn(one, 'doubles', { owner: String(i), input: { x: 1 } }));
        await sleep(round);
        await one.close();
        await Promise.all(jobs);
      }
      expect(await until(() => orphans().length === 0)).toBe(true);
    },
  );

  test.skipIf(!hasProc)('what spins ends with its server, however that ends (needs /proc)', async () => {
    const server = await startServer({ home: makeHome() });
    const code = 'def run(input, ctx):\n    while True: pass\n';
    const call = server.callTool('run_code', { language: 'python', code }).catch(() => undefined);
    const spinning = (): number[] => descendants(server.pid).filter((pid) => cpuTicks(pid) > 20);
    expect(await until(() => spinning().length > 0, 10_000)).toBe(true);
    const all = descendants(server.pid);
    server.child.kill('SIGKILL');
    expect(await survivors(all, 2_000)).toEqual([]);
    void call;
  });
});

/** Something on loopback that nobody may reach: TCP and UDP, on the same port. */
async function listen(): Promise<{ port: number; connections: () => number; close: () => void }> {
  let count = 0;
  const tcp = createServer((socket) => {
    count++;
    socket.destroy();
  });
  await new Promise<void>((resolve) => tcp.listen(0, '127.0.0.1', resolve));
  const address = tcp.address();
  if (typeof address !== 'object' || !address) throw new Error('no address');
  const udp = createSocket('udp4', () => count++);
  await new Promise<void>((resolve) => udp.bind(address.port, '127.0.0.1', resolve));
  const close = (): void => {
    tcp.close();
    udp.close();
  };
  return { port: address.port, connections: () => count, close };
}

/** The bubblewraps of this package that nobody owns any more. */
const orphans = (): string[] =>
  readdirSync('/proc').filter((name) => {
    try {
      if (!/^\d+$/.test(name) || !/\) \S 1 /.test(readFileSync(`/proc/${name}/stat`, 'utf8'))) return false;
      return readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(distFile('sandbox/python-runner.py'));
    } catch {
      return false; // It ended between two looks.
    }
  });
