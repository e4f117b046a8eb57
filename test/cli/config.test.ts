import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { makeHome, runCli } from '../helpers/process.ts';

interface Setting {
  name: string;
  value: unknown;
  from: string;
  env: string;
}

describe.concurrent('config', () => {
  it('prints what holds and from where, but no secret', async () => {
    const home = makeHome();
    writeFileSync(join(home, 'config.yaml'), 'approval: always\n');
    const env = { DATABASE_URL: `sqlite://${home}/s3cret.db`, TOOLWEAVER_EXPOSE: 'auto' };
    const [text, json] = await Promise.all([
      runCli(['config', '--log-level', 'debug'], { home, env }),
      runCli(['--log-level', 'debug', 'config', '--json'], { home, env }),
    ]);
    expect(text.stdout).toMatch(/^approval +"always" +file +TOOLWEAVER_APPROVAL$/m);
    expect(text.stdout).toContain(`file: ${home}/config.yaml`);
    const settings: Setting[] = JSON.parse(json.stdout).settings;
    const from = Object.fromEntries(settings.map((setting) => [setting.name, setting.from]));
    expect(from).toMatchObject({ approval: 'file', expose: 'environment', logLevel: 'flag', eventDays: 'default' });
    expect(text.stdout + json.stdout).not.toContain('s3cret');
  });

  it('ends with 2 and all problems when settings cannot be used, as every command does', async () => {
    const home = makeHome();
    writeFileSync(join(home, 'config.yaml'), 'aproval: always\n');
    const env = { DATABASE_URL: 'mysql://ada:s3cret@db.example/weaver' };
    for (const args of [['config'], ['serve'], ['list', '--json']]) {
      const { code, stdout, stderr } = await runCli(args, { home, env });
      expect([code, stdout]).toEqual([2, '']);
      expect(stderr).toContain(`aproval in ${home}/config.yaml: no such setting`);
      expect(stderr).toContain('DATABASE_URL');
      expect(stderr).not.toContain('s3cret');
    }
  });
});
