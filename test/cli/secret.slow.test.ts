import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createKeyring } from '../../src/secrets/keyring.ts';
import { openSecret } from '../../src/secrets/table.ts';
import { openDatabase } from '../../src/store/database.ts';
import { atEnd, type CliResult, makeHome, processesWith, runCli } from '../helpers/process.ts';

const value = 'ghp_correct-horse-battery';

function desk() {
  const home = makeHome();
  return {
    home,
    cli: (args: string[], input = '', env = {}): Promise<CliResult> =>
      runCli(['secret', ...args], { home, input, env }),
    async reveal(name: string, key?: string[]) {
      const database = await openDatabase(join(home, 'toolweaver.db'));
      atEnd(() => database.close());
      return (await openSecret(database, createKeyring({ home, key }), 'local', name)).value;
    },
  };
}

describe.concurrent('secret', () => {
  it('is read from stdin, listed without its value, bound to hosts and a header, rotated and forgotten', async () => {
    const { cli, reveal, home } = desk();
    const hosts = ['--host', 'api.example.com', '--host', 'b.example.com:8443'];
    const set = await cli(['set', 'TOKEN', ...hosts, '--header', 'X-Key'], `${value}\n`);
    expect([set.code, set.stderr, set.stdout]).toEqual([
      0,
      '',
      'Kept: TOKEN, for api.example.com, b.example.com:8443 in x-key\n',
    ]);
    expect(await reveal('TOKEN')).toBe(value);
    const [list, json] = [await cli(['list']), await cli(['list', '--json'])];
    expect(list.stdout).toMatch(/^TOKEN +api\.example\.com b\.example\.com:8443 +x-key +20\S+ +person:/m);
    expect(JSON.parse(json.stdout).secrets).toEqual([
      {
        name: 'TOKEN',
        hosts: ['api.example.com', 'b.example.com:8443'],
        header: 'x-key',
        setAt: expect.any(Number),
        setBy: expect.stringMatching(/^person:/),
      },
    ]);
    const again = await cli(['set', 'TOKEN', '--json'], 'another value');
    expect(JSON.parse(again.stdout)).toMatchObject({ name: 'TOKEN', header: 'x-key' });
    const before = readFileSync(join(home, 'secrets.key'), 'utf8');
    const rotated = await cli(['rotate', '--json']);
    expect(JSON.parse(rotated.stdout)).toEqual({ count: 1, key: expect.stringMatching(/^[0-9a-f]{16}$/) });
    expect(readFileSync(join(home, 'secrets.key'), 'utf8')).not.toBe(before);
    expect(await reveal('TOKEN')).toBe('another value');
    const removed = await cli(['remove', 'TOKEN']);
    expect([removed.code, removed.stdout]).toEqual([
      0,
      'Forgotten: TOKEN, for api.example.com, b.example.com:8443 in x-key\n',
    ]);
    expect((await cli(['list'])).stdout).toBe('No secrets are kept.\n');
    for (const { stdout, stderr } of [set, list, json, again, rotated, removed])
      expect(stdout + stderr).not.toMatch(/correct-horse|another value/);
  });

  it('is asked for at a terminal, without being shown there', async () => {
    const { home, reveal } = desk();
    const { code, stdout } = await runCli(['secret', 'set', 'TOKEN', '--host', 'api.example.com'], {
      ...{ home, isTerminal: true, input: null },
      typesWhen: [(shown) => shown.includes('Value of TOKEN'), `${value}\r`],
    });
    expect([code, await reveal('TOKEN')]).toEqual([0, value]);
    expect(stdout).not.toContain(value);
  });

  it('is not taken as an argument, where every process could see it', async () => {
    const { cli } = desk();
    const { code, stderr } = await cli(['set', 'TOKEN', value, '--host', 'api.example.com']);
    expect([code, stderr]).toEqual([2, expect.stringContaining('too many arguments')]);
    expect(processesWith(value)).toEqual([]);
  });

  it('is refused with what to do instead, and without its value', async () => {
    const { cli } = desk();
    const wrong = [
      await cli(['set', 'a b', '--host', 'api.example.com'], value),
      await cli(['set', 'TOKEN'], value),
      await cli(['set', 'TOKEN', '--host', '*.example.com'], value),
      await cli(['set', 'TOKEN', '--host', 'api.example.com', '--header', 'host'], value),
      await cli(['set', 'TOKEN', '--host', 'api.example.com'], `${value}\n${value}\n`),
      await cli(['set', 'TOKEN', '--host', 'api.example.com'], ''),
    ];
    for (const { code, stdout, stderr } of wrong) {
      expect([code, stdout]).toEqual([2, '']);
      expect(stderr).toMatch(/^error \[bad_input\] .*\nhint: /);
      expect(stderr).not.toContain(value);
    }
    const missing = await cli(['remove', 'NONE']);
    expect([missing.code, missing.stderr]).toEqual([1, expect.stringMatching(/^error \[not_found\] .*"NONE"/)]);
  });

  it('is under the key of TOOLWEAVER_KEY where that is set, which no output shows', async () => {
    const { cli, reveal } = desk();
    const [old, young] = ['a1'.repeat(32), Buffer.alloc(32, 7).toString('base64')];
    expect((await cli(['set', 'TOKEN', '--host', 'api.example.com'], value, { TOOLWEAVER_KEY: old })).code).toBe(0);
    expect(await reveal('TOKEN', [old])).toBe(value);
    const same = await cli(['rotate'], '', { TOOLWEAVER_KEY: old });
    expect([same.code, same.stderr]).toEqual([2, expect.stringContaining('TOOLWEAVER_KEY=NEW,OLD')]);
    const lacks = await cli(['rotate'], '', { TOOLWEAVER_KEY: young });
    expect([lacks.code, lacks.stderr]).toEqual([1, expect.stringContaining('[secret_unreadable]')]);
    expect((await cli(['rotate'], '', { TOOLWEAVER_KEY: `${young},${old}` })).code).toBe(0);
    expect(await reveal('TOKEN', [young])).toBe(value);
    const bad = await cli(['list'], '', { TOOLWEAVER_KEY: 'hunter2hunter2' });
    expect([bad.code, bad.stderr]).toEqual([
      2,
      expect.stringContaining('TOOLWEAVER_KEY: must be 32 bytes as 64 hex digits or as base64'),
    ]);
    for (const { stdout, stderr } of [same, lacks, bad]) expect(stdout + stderr).not.toMatch(/a1a1a1|BwcHBw|hunter2/);
  });
});
