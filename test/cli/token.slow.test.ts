import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { principalOf } from '../../src/access/tokens.ts';
import { durationMs } from '../../src/cli/duration.ts';
import { openDatabase } from '../../src/store/database.ts';
import { atEnd, type CliResult, makeHome, runCli } from '../helpers/process.ts';

/** A home of its own, and what is typed there, with and without a terminal. */
function desk() {
  const home = makeHome();
  return {
    cli: (...args: string[]): Promise<CliResult> => runCli(['token', ...args], { home }),
    atTerminal: (...args: string[]): Promise<CliResult> => runCli(['token', ...args], { home, isTerminal: true }),
    async principal(token: string) {
      const database = await openDatabase(join(home, 'toolweaver.db'));
      atEnd(() => database.close());
      return principalOf(database, token, Date.now());
    },
  };
}

describe.concurrent('token', () => {
  it('is made with kind, roles, tools and an end, shown once, listed without itself, and revoked', async () => {
    const { cli, principal } = desk();
    const day = 86_400_000;
    const before = Date.now();
    const made = await cli(
      ...['create', 'shop', '--kind', 'service', '--role', 'viewer', 'caller', '--expires', '90d'],
      ...['--tools', 'csv_*', '--tools', 'search_tools', '--json'],
    );
    expect([made.code, made.stderr]).toEqual([0, '']);
    const { token, ...info } = JSON.parse(made.stdout);
    expect(info).toMatchObject({
      principal: 'service:shop',
      kind: 'service',
      roles: ['viewer', 'caller'],
      tools: ['csv_*', 'search_tools'],
      createdBy: expect.stringMatching(/^person:/),
    });
    expect(info.expiresAt).toBeGreaterThanOrEqual(before + 90 * day);
    expect(info.expiresAt).toBeLessThanOrEqual(Date.now() + 90 * day);
    expect(await principal(token)).toMatchObject({ id: 'service:shop', scopes: ['read', 'call'], tools: info.tools });

    const [list, listJson] = [await cli('list'), await cli('list', '--json')];
    expect(list.stdout).toMatch(
      new RegExp(`^${info.id} +service:shop +viewer,caller +csv_\\* search_tools +until 2`, 'm'),
    );
    expect(JSON.parse(listJson.stdout)).toEqual({ tokens: [info] });
    const revoked = await cli('revoke', info.id);
    expect([revoked.code, revoked.stdout]).toEqual([
      0,
      `Revoked: ${info.id} of service:shop, viewer, caller, revoked\n`,
    ]);
    expect(await principal(token)).toBe('revoked');
    expect((await cli('list')).stdout).toMatch(/ revoked$/m);
    for (const { stdout, stderr } of [list, listJson, revoked]) expect(stdout + stderr).not.toContain(token.slice(4));
  });

  it("is an agent's that may call, for ever, unless told otherwise, and is printed so that a person can take it", async () => {
    const { cli, principal } = desk();
    const { code, stdout } = await cli('create', 'ci');
    expect(code).toBe(0);
    const [token = '', , line, how] = stdout.split('\n');
    expect(line).toMatch(/^[0-9a-f]{12} of agent:ci, caller, without end$/);
    expect(how).toContain('only now');
    expect(await principal(token)).toMatchObject({ id: 'agent:ci', kind: 'agent', roles: ['caller'] });
  });

  it('of a person is made at a terminal, and nowhere else', async () => {
    const { cli, atTerminal, principal } = desk();
    const args = ['create', 'ada', '--kind', 'person', '--role', 'reviewer', '--json'];
    const refused = await cli(...args);
    expect([refused.code, refused.stdout]).toEqual([3, '']);
    expect(JSON.parse(refused.stderr).error).toMatchObject({
      code: 'needs_person',
      hint: expect.stringContaining('terminal'),
    });
    const made = await atTerminal(...args);
    const { token } = JSON.parse(made.stdout);
    expect(await principal(token)).toMatchObject({ kind: 'person', scopes: ['read', 'call', 'approve'] });
    expect(JSON.parse((await cli('list', '--json')).stdout).tokens).toHaveLength(1);
  });

  it('is not made of what makes no sense', async () => {
    const { cli } = desk();
    const wrong = await Promise.all(
      [
        ['create', 'ci', '--kind', 'robot'],
        ['create', 'ci', '--role', 'root'],
        ['create', 'ci', '--role', 'reviewer'],
        ['create', 'ci', '--expires', 'tomorrow'],
        ['create', 'person:ada'],
      ].map((args) => cli(...args)),
    );
    for (const { code, stdout, stderr } of wrong) {
      expect([code, stdout]).toEqual([2, '']);
      expect(stderr).toMatch(/^error \[bad_input\] .*\nhint: /);
    }
    const missing = await cli('revoke', 'c0ffee');
    expect([missing.code, missing.stderr]).toEqual([1, expect.stringMatching(/^error \[not_found\] .*"c0ffee"/)]);
  });
});

describe('a length of time', () => {
  it('is a number and a unit', () => {
    expect(['90s', '30m', '12h', '90d'].map(durationMs)).toEqual([90_000, 1_800_000, 43_200_000, 7_776_000_000]);
  });

  it.each(['', '90', 'd', '0d', '-1d', '1.5h', '1w', '90 d', '1D', '9999999d', '1d2h', '１d'])('is not %j', (text) => {
    expect(() => durationMs(text)).toThrow(expect.objectContaining({ code: 'bad_input' }));
  });
});
