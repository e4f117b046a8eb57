import { cpSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { packageRoot } from '../../src/package.ts';
import { command, makeHome, runCli } from '../helpers/process.ts';

interface Part {
  part: string;
  state: string;
  detail: string;
  costs: string;
}

/** A copy of the installation, from which something can be missing. */
function copyInstallation(): { root: string; script: string } {
  const root = makeHome();
  cpSync(dirname(dirname(command)), join(root, 'dist'), { recursive: true });
  cpSync(join(packageRoot, 'package.json'), join(root, 'package.json'));
  symlinkSync(join(packageRoot, 'node_modules'), join(root, 'node_modules'));
  return { root, script: join(root, 'dist', 'cli', 'main.js') };
}

describe.concurrent('doctor', () => {
  it('finds every part of a sound installation', async () => {
    const home = makeHome();
    const { code, stdout } = await runCli(['doctor', '--json'], { home });
    const parts: Part[] = JSON.parse(stdout).parts;
    expect(parts.map(({ part }) => part)).toEqual(
      expect.arrayContaining(['node', 'home', 'database', 'secrets', 'sandbox', 'compiler', 'search']),
    );
    expect([code, parts.filter(({ state }) => state === 'broken')]).toEqual([0, []]);
  });

  it('names a broken database, and what that costs', async () => {
    const home = makeHome();
    writeFileSync(join(home, 'toolweaver.db'), 'no database, but a note\n'.repeat(100));
    const { code, stdout } = await runCli(['doctor'], { home });
    expect(code).toBe(1);
    expect(stdout).toMatch(/^ok +node +v\d+/m);
    expect(stdout).toMatch(/^broken +database +\[database_damaged\] .*toolweaver\.db.* costs: ./m);
  });

  it('names secrets whose key is not there, and what that costs', async () => {
    const home = makeHome();
    const args = ['secret', 'set', 'TOKEN', '--host', 'api.example.com'];
    expect((await runCli(args, { home, input: 'correct horse battery' })).code).toBe(0);
    const sound = await runCli(['doctor'], { home });
    expect(sound.stdout).toMatch(/^ok +secrets +1 kept, all open with the key of .*secrets\.key/m);
    rmSync(join(home, 'secrets.key'));
    const { code, stdout } = await runCli(['doctor'], { home });
    expect(code).toBe(1);
    expect(stdout).toMatch(
      /^broken +secrets +\[secret_unreadable\] TOKEN is under the key .* costs: skills that send them fail/m,
    );
  });

  it.each(['child.js', 'quickjs.wasm'])('names the sandbox when its %s is missing', async (file) => {
    const { root, script } = copyInstallation();
    rmSync(join(root, 'dist', 'sandbox', file));
    const { code, stdout } = await runCli(['doctor', '--json'], { home: makeHome(), script });
    const parts: Part[] = JSON.parse(stdout).parts;
    expect(code).toBe(1);
    expect(parts.filter(({ state }) => state === 'broken').map(({ part }) => part)).toEqual(['sandbox']);
  });
});
