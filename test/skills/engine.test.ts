import { describe, expect, it } from 'vitest';
import { testApp } from '../helpers/app.ts';
import { deno, needsDeno } from '../helpers/deno.ts';
import { findingsOf, skill } from '../helpers/drafts.ts';

const withDeno = { approval: 'risk', sandboxThreads: 1, denoPath: deno } as const;
const host = 'return new URL(input.url).hostname;';
const example = { examples: [{ input: { url: 'https://a.example/x' }, output: 'a.example' }] };
// Seconds in the default engine, a tenth of one in V8.
const slow = 'let s = 0; for (let i = 0; i < 2e7 * 4; i++) s = (s + i) % 1000003; return s;';

describe('code that the default engine cannot run', () => {
  it('is refused with line and remedy where there is no Deno, for run_code as well', async () => {
    const app = await testApp({ settings: { denoPath: '/nowhere/deno' } });
    const findings = await findingsOf(app, skill('host', host, example));
    expect(findings).toMatchObject([
      {
        rule: 'needs_deno',
        line: 2,
        remedy: expect.stringMatching(/as text.*Or install Deno: .*\/nowhere\/deno does not start/),
      },
    ]);
    await expect(app.use('run_code', { code: 'return new URL("https://a.test").host;' })).rejects.toMatchObject({
      code: 'check_failed',
      details: { findings: [{ rule: 'needs_deno', line: 1 }] },
    });
  });

  it.skipIf(needsDeno !== '')(`runs in Deno where that is there, and says so${needsDeno}`, async () => {
    const app = await testApp({ settings: withDeno });
    const saved = await app.use('save_skill', skill('host', host, example));
    expect(saved).toMatchObject({ state: 'active', findings: [{ rule: 'needs_deno', severity: 'warning', line: 2 }] });
    expect(await app.use('host', { url: 'https://b.example/' })).toBe('b.example');
    expect(await app.use('describe_tool', { name: 'host' })).toMatchObject({ name: 'host' });
    expect(await app.use('run_code', { code: 'return new Intl.NumberFormat("de").format(1234.5);' })).toMatchObject({
      result: '1.234,5',
    });
  });

  it.skipIf(needsDeno !== '')(`runs in Deno where its examples are too slow otherwise${needsDeno}`, async () => {
    const app = await testApp({ settings: withDeno });
    const output = expected();
    const saved = await app.use('save_skill', skill('sums', slow, { examples: [{ input: {}, output }] }));
    expect(saved).toMatchObject({ state: 'active', findings: [{ rule: 'engine_deno', severity: 'warning' }] });
    expect(await app.use('sums')).toBe(output);
  });

  it.skipIf(needsDeno !== '')(
    `has no more power there: no network, files, process or environment${needsDeno}`,
    async () => {
      const app = await testApp({ settings: { ...withDeno, approval: 'auto' } });
      const tries = `
      const told = {};
      const attempt = async (name, work) => { try { told[name] = String(await work()); } catch (e) { told[name] = 'refused'; } };
      const G = new URL('https://x.test') && globalThis;
      await attempt('deno', () => G.Deno.readTextFileSync('/etc/hostname'));
      await attempt('node', async () => (await import('node:fs')).readFileSync('/etc/hostname', 'utf8'));
      await attempt('spawn', async () => (await import('node:child_process')).execSync('id').toString());
      await attempt('env', async () => JSON.stringify((await import('node:process')).default.env.PATH.length));
      await attempt('net', async () => (await import('node:net')).connect(1).on('error', () => {}).write('x'));
      await attempt('fetch', () => G.fetch('http://127.0.0.1:1/'));
      await attempt('remote', () => import('https://deno.land/std/version.ts'));
      await attempt('kill', async () => (await import('node:process')).default.kill(1, 0));
      return told;`;
      const outcome = await app.outcome(
        'save_skill',
        skill('tries', tries.replaceAll('import(', 'globalThis.eval("i=>import(i)")(')),
      );
      expect(outcome.status).toBe('done');
      const told = (await app.use('tries')) as Record<string, string>;
      for (const [name, answer] of Object.entries(told))
        expect([name, answer]).toEqual([
          name,
          name === 'net' ? expect.stringMatching(/refused|false|true/) : 'refused',
        ]);
    },
  );
});

function expected(): number {
  let s = 0;
  for (let i = 0; i < 2e7 * 4; i++) s = (s + i) % 1_000_003;
  return s;
}
