import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { person, testApp } from '../helpers/app.ts';
import { patient, works } from '../helpers/drafts.ts';
import { send } from '../helpers/http.ts';
import { startHttp } from '../helpers/http-process.ts';
import { makeHome, runCli, startWorker, until } from '../helpers/process.ts';

describe('toolweaver worker', () => {
  it('goes on at once with a run that a server handed back when it was stopped', { timeout: 60_000 }, async () => {
    const home = makeHome();
    const { url, token, child, ended } = await startHttp(home, { TOOLWEAVER_APPROVAL: 'auto' });
    for (const body of [works, patient]) await send(url, '/v1/tools/save_skill', token, { body });
    const headers = { prefer: 'wait=0' };
    expect((await send(url, '/v1/tools/patient', token, { body: { x: 80 }, headers })).status).toBe(202);
    child.kill('SIGTERM');
    await ended;
    const app = await testApp({ file: join(home, 'toolweaver.db') });
    const seen = async () =>
      ((await app.use('list_runs', {}, { principal: person })) as { runs: { status: string }[] }).runs;
    expect(await seen()).toMatchObject([{ status: 'running' }]);
    const { stdout } = await runCli(['doctor'], { home });
    expect(stdout).toMatch(/^ok +runs +1 under way, 1 of them left by their process/m);
    const worker = await startWorker({ home });
    expect(JSON.parse(worker.stdout())).toEqual({ working: join(home, 'toolweaver.db'), retried: 0 });
    expect(await until(async () => (await seen())[0]?.status === 'done', 20_000)).toBe(true);
    worker.child.kill('SIGTERM');
    expect(await worker.ended).toEqual({ code: 0, signal: null });
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('ends soon after %s, with nothing to do', async (signal) => {
    const worker = await startWorker({ home: makeHome() });
    const asked = Date.now();
    worker.child.kill(signal);
    expect(await worker.ended).toEqual({ code: 0, signal: null });
    expect(Date.now() - asked).toBeLessThan(8_000);
  });

  it('begins anew with --retry what was given up, which doctor shows until then', async () => {
    const home = makeHome();
    const app = await testApp({ file: join(home, 'toolweaver.db') });
    const dead = { tenant: 'local', topic: 'forget_runs', key: '', body: 'null', due_at: 0, put_at: 0 };
    const error = '[unavailable] the disk is full';
    await app.database.write((trx) =>
      trx
        .insertInto('outbox')
        .values({ ...dead, revision: 1, attempts: 24, state: 'dead', claim: null, error })
        .execute(),
    );
    const sick = await runCli(['doctor'], { home });
    expect([sick.code, sick.stdout]).toEqual([
      1,
      expect.stringMatching(/^broken +outbox .*forget_runs.*disk is full.*--retry/m),
    ]);
    const worker = await startWorker({ home }, '--retry');
    expect(JSON.parse(worker.stdout())).toMatchObject({ retried: 1 });
    const rows = () => app.database.read.selectFrom('outbox').select('state').execute();
    expect(await until(async () => (await rows()).length === 0)).toBe(true);
    worker.child.kill('SIGTERM');
    await worker.ended;
    expect((await runCli(['doctor'], { home })).stdout).toMatch(/^ok +outbox/m);
  });
});
