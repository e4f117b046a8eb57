import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { hosts } from '../../src/cli/hosts.ts';
import { makeHome, runCli } from '../helpers/process.ts';

const files = {
  claude: '.config/Claude/claude_desktop_config.json',
  'claude-code': 'project/.mcp.json',
  cursor: '.cursor/mcp.json',
  vscode: 'project/.vscode/mcp.json',
} as const satisfies Record<keyof typeof hosts, string>;

/** A machine of its own: its home is where hosts keep their settings, and it has a project. */
function machine() {
  const home = makeHome();
  const cwd = join(home, 'project');
  mkdirSync(cwd);
  const fileOf = (host: keyof typeof files) => join(home, files[host]);
  return {
    home,
    fileOf,
    install: (...args: string[]) =>
      runCli(['install', ...args], { home, cwd, env: { TOOLWEAVER_HOME: join(home, 'weaver') } }),
    read: (host: keyof typeof files) => JSON.parse(readFileSync(fileOf(host), 'utf8')),
    write(host: keyof typeof files, text: string): void {
      mkdirSync(dirname(fileOf(host)), { recursive: true });
      writeFileSync(fileOf(host), text);
    },
  };
}

describe.concurrent('install', () => {
  it.each(Object.keys(files) as (keyof typeof files)[])(
    'makes the configuration of %s, with absolute paths',
    async (host) => {
      const { home, install, read } = machine();
      const { code, stdout } = await install(host);
      expect([code, stdout]).toEqual([0, expect.stringContaining(files[host])]);
      const { command, args, env, type } = read(host)[hosts[host].key].toolweaver;
      expect([type, command, args.at(-1)]).toEqual(['stdio', process.execPath, 'serve']);
      for (const path of [command, args[0], env.TOOLWEAVER_HOME]) expect(isAbsolute(path), path).toBe(true);
      expect(existsSync(args[0])).toBe(true);
      expect(env).toEqual({ TOOLWEAVER_HOME: join(home, 'weaver'), TOOLWEAVER_EXPOSE: hosts[host].expose });
    },
  );

  it('keeps what is there, and a backup of it', async () => {
    const { fileOf, install, read, write } = machine();
    const mine = {
      command: 'old',
      args: ['old'],
      disabled: true,
      env: { TOOLWEAVER_LOG_LEVEL: 'debug', TOOLWEAVER_HOME: '/old' },
    };
    const before = { theme: 'dark', mcpServers: { other: { command: 'other' }, toolweaver: mine } };
    write('cursor', JSON.stringify(before));
    const { stdout } = await install('cursor', '--json');
    const { theme, mcpServers } = read('cursor');
    expect([theme, mcpServers.other]).toEqual(['dark', { command: 'other' }]);
    expect(mcpServers.toolweaver).toMatchObject({
      command: process.execPath,
      disabled: true,
      env: { TOOLWEAVER_LOG_LEVEL: 'debug' },
    });
    expect(mcpServers.toolweaver.env.TOOLWEAVER_HOME).not.toBe('/old');
    const { backup, file } = JSON.parse(stdout);
    expect(file).toBe(fileOf('cursor'));
    expect(JSON.parse(readFileSync(backup, 'utf8'))).toEqual(before);
    expect(statSync(backup).mode & 0o077).toBe(0);
  });

  it('writes through a link, and leaves the permissions as they were', async () => {
    const { home, fileOf, install, read } = machine();
    const real = join(home, 'dotfiles.json');
    writeFileSync(real, '{"mcpServers":{}}');
    chmodSync(real, 0o644);
    mkdirSync(dirname(fileOf('cursor')), { recursive: true });
    symlinkSync(real, fileOf('cursor'));
    await install('cursor');
    expect(JSON.parse(readFileSync(real, 'utf8'))).toEqual(read('cursor'));
    expect(read('cursor').mcpServers).toHaveProperty('toolweaver');
    expect(statSync(real).mode & 0o777).toBe(0o644);
  });

  it.each([
    ['is no JSON', '{ "mcpServers": { // a comment\n } }'],
    ['is a list', '[]'],
    ['has servers that are no object', '{"mcpServers":[]}'],
  ])('leaves alone a file that %s', async (_, text) => {
    const { fileOf, install, write } = machine();
    write('cursor', text);
    const { code, stdout, stderr } = await install('cursor');
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^error \[bad_input\] .*was left as it is.*\nhint: .*--print/);
    expect(readFileSync(fileOf('cursor'), 'utf8')).toBe(text);
    expect(readdirSync(dirname(fileOf('cursor')))).toEqual(['mcp.json']);
  });

  it('prints instead, and takes the exposure that was asked for', async () => {
    const { fileOf, install } = machine();
    const { code, stdout, stderr } = await install('claude', '--print', '--expose', 'meta');
    expect(code).toBe(0);
    expect(JSON.parse(stdout).mcpServers.toolweaver.env.TOOLWEAVER_EXPOSE).toBe('meta');
    expect(stderr).toContain(fileOf('claude'));
    expect(existsSync(fileOf('claude'))).toBe(false);
  });

  it('knows no other host', async () => {
    const { install } = machine();
    const { code, stderr } = await install('emacs');
    expect([code, stderr]).toEqual([2, expect.stringContaining('claude-code')]);
  });
});
