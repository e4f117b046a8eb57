import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { databaseFileOf, loadConfig, metaOf, printable, settingNames } from '../src/config.ts';
import type { WeaverError } from '../src/errors.ts';
import { temporaryFolder } from './helpers/app.ts';

/** A home whose config.yaml holds this. */
function homeWith(text: string): string {
  const home = temporaryFolder();
  writeFileSync(join(home, 'config.yaml'), text);
  return home;
}

const problemsOf = (...given: Parameters<typeof loadConfig>): string[] => {
  try {
    loadConfig(...given);
  } catch (error) {
    return (error as WeaverError).details?.problems as string[];
  }
  return [];
};

describe('settings', () => {
  it('come from flags before the environment, that before the file, and that before the defaults', () => {
    const home = homeWith('logLevel: debug\nexpose: meta\napproval: always\neventDays: 7');
    const env = { TOOLWEAVER_HOME: home, TOOLWEAVER_EXPOSE: 'pinned', TOOLWEAVER_APPROVAL: 'auto' };
    const { config, sources, file } = loadConfig(env, { approval: 'risk' });
    expect(file).toBe(join(home, 'config.yaml'));
    expect(config).toMatchObject({ logLevel: 'debug', expose: 'pinned', approval: 'risk', eventDays: 7 });
    expect(config.callTimeoutMs).toBe(300_000);
    expect(sources).toMatchObject({
      home: 'environment',
      logLevel: 'file',
      expose: 'environment',
      approval: 'flag',
      callTimeoutMs: 'default',
    });
  });

  it('have an environment variable each, which counts as not set when it is empty', () => {
    const names = settingNames.map((name) => metaOf(name).env);
    expect(new Set(names).size).toBe(names.length);
    const env = { TOOLWEAVER_HOME: temporaryFolder(), TOOLWEAVER_EXPOSE: '', DATABASE_URL: '' };
    expect(loadConfig(env).sources).toMatchObject({ expose: 'default', databaseUrl: 'default' });
  });

  it('take lists with commas or as YAML', () => {
    expect(loadConfig({ TOOLWEAVER_HOME: homeWith('pinned: [a, b]') }).config.pinned).toEqual(['a', 'b']);
    const env = { TOOLWEAVER_HOME: temporaryFolder(), TOOLWEAVER_PINNED: ' a, b ,,c ' };
    expect(loadConfig(env).config.pinned).toEqual(['a', 'b', 'c']);
  });

  it('are told apart by all of their problems at once, each with where it stands', () => {
    const home = homeWith('logLevel: loud\neventDays: soon\nlog_level: debug\nhome: /elsewhere\npinned: [1]');
    const problems = problemsOf({ TOOLWEAVER_HOME: home, TOOLWEAVER_EXPOSE: 'some' }, { approval: 'never' });
    const file = join(home, 'config.yaml');
    const starts = [
      `logLevel in ${file}: `,
      `eventDays in ${file}: `,
      `log_level in ${file}: no such setting`,
      `${file}: home cannot be set`,
      `pinned in ${file}: `,
      'TOOLWEAVER_EXPOSE: ',
      '--approval: ',
    ];
    expect(problems).toHaveLength(starts.length);
    for (const start of starts) expect(problems).toContainEqual(expect.stringMatching(new RegExp(`^${start}`)));
  });

  it.each([
    ['a list', '- a\n- b'],
    ['a text', 'just words'],
    ['no YAML', 'a: [1'],
    ['full of aliases', `a: &a [x]\nb: [${'*a, '.repeat(20)}]`],
  ])('are not read from a file that is %s', (_, text) => {
    const home = homeWith(text);
    expect(problemsOf({ TOOLWEAVER_HOME: home })[0]).toContain(join(home, 'config.yaml'));
  });

  it.each(['true', '[30]', 'null', '1.5', '0', '-3', '3651', "'0x10'", "'1e2'"])(
    'never make a number of what is none, or fall back: eventDays: %s',
    (value) => {
      const problems = problemsOf({ TOOLWEAVER_HOME: homeWith(`eventDays: ${value}`) });
      expect(problems).toEqual([expect.stringContaining('must be a whole number from 1 to 3650')]);
    },
  );

  it('cannot be changed once they are read', () => {
    const { config } = loadConfig({ TOOLWEAVER_HOME: temporaryFolder() });
    expect(() => Object.assign(config, { expose: 'meta' })).toThrow(TypeError);
  });
});

describe('the home', () => {
  it('may start with ~ or be relative, and is an absolute path then', () => {
    const homes = ['~/weaver', 'weaver', '/srv/weaver'].map((home) => loadConfig({}, { home }).config.home);
    for (const home of homes) expect(home).toMatch(/^\/.*weaver$/);
    expect(homes[0]).not.toContain('~');
  });
});

describe('the database address', () => {
  const home = '/nowhere/at/all';

  it('is a file in the home unless one is given', () => {
    expect(databaseFileOf(loadConfig({ TOOLWEAVER_HOME: home }).config)).toBe(`${home}/toolweaver.db`);
    const given = { TOOLWEAVER_HOME: home, DATABASE_URL: 'sqlite:///var/lib/with%20space/tw.db' };
    expect(databaseFileOf(loadConfig(given).config)).toBe('/var/lib/with space/tw.db');
  });

  it.each([
    'mysql://ada:s3cret@db.example/weaver',
    'postgres://ada:s3cret@db.example',
    'sqlite://tw.db',
    'sqlite://s3cret/tw.db',
    'sqlite:s3cret.db',
    'sqlite::memory:',
    'file:///srv/s3cret/',
    'sqlite:///srv/tw.db?mode=s3cret',
    'sqlite:///srv/%80',
    's3cret',
  ])('stops the start when it cannot be used, and is not repeated: %s', (url) => {
    const [problem, ...others] = problemsOf({ TOOLWEAVER_HOME: home, DATABASE_URL: url });
    expect(others).toEqual([]);
    expect(problem).toMatch(/^DATABASE_URL: must be the address of a SQLite file/);
    expect(problem).not.toContain('s3cret');
  });

  it('is a secret: printed only as set', () => {
    const { config } = loadConfig({ TOOLWEAVER_HOME: home, DATABASE_URL: 'sqlite:///srv/s3cret.db' });
    expect(printable('databaseUrl', config)).toBe('(set, not shown)');
    expect(printable('home', config)).toBe(home);
  });
});

describe('the key of secrets', () => {
  const home = '/nowhere';
  const keys = ['a1'.repeat(32), Buffer.alloc(32, 7).toString('base64'), Buffer.alloc(32, 255).toString('base64url')];

  it('is one or several, and never printed', () => {
    const { config } = loadConfig({ TOOLWEAVER_HOME: home, TOOLWEAVER_KEY: keys.join(', ') });
    expect([config.key, printable('key', config)]).toEqual([keys, '(set, not shown)']);
  });

  it.each(['s3cret', 'a'.repeat(63), `${'a'.repeat(64)},s3cret`])(
    'stops the start when it is none, and is not repeated',
    (text) => {
      const problems = problemsOf({ TOOLWEAVER_HOME: home, TOOLWEAVER_KEY: text });
      expect(problems).toEqual(['TOOLWEAVER_KEY: must be 32 bytes as 64 hex digits or as base64']);
    },
  );

  it('does not stand in config.yaml, which others may read', () => {
    const problems = problemsOf({ TOOLWEAVER_HOME: homeWith(`key: ${keys[0]}`) });
    expect(problems).toEqual([
      expect.stringContaining('config.yaml: key cannot be set in a file that others may read'),
    ]);
  });
});
