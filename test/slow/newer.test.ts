import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDatabase } from '../../src/store/database.ts';
import { migrations } from '../../src/store/migrations.ts';
import { patient, works } from '../helpers/drafts.ts';
import { send } from '../helpers/http.ts';
import { startHttp } from '../helpers/http-process.ts';
import { needsPostgres, type PostgresServer, startPostgres } from '../helpers/postgres.ts';
import { makeHome, startServer, startWorker, textOf, until } from '../helpers/process.ts';

let postgres: PostgresServer | undefined;
beforeAll(async () => {
  if (needsPostgres === '') postgres = await startPostgres();
});
afterAll(() => postgres?.close());

/** What a newer ToolWeaver leaves of itself when it has migrated. */
async function migrateFurther(address: string): Promise<void> {
  const database = await openDatabase(address);
  await database.write((trx) =>
    trx
      .insertInto('migrations')
      .values({ id: migrations.length + 1, name: 'of tomorrow', at: 0 })
      .execute(),
  );
  await database.close();
}

const places: [string, boolean, (home: string) => Promise<string>][] = [
  ['SQLite', false, async (home) => join(home, 'toolweaver.db')],
  [`PostgreSQL${needsPostgres}`, needsPostgres !== '', async () => (await postgres?.createDatabase()) ?? ''],
];

describe.each(places.filter(([, isMissing]) => !isMissing))('a newer ToolWeaver that migrates %s', (name, _, place) => {
  it('is noticed by a stdio server, which ends its call under way and refuses new ones', {
    timeout: 60_000,
  }, async () => {
    const home = makeHome();
    const address = await place(home);
    const env = { TOOLWEAVER_APPROVAL: 'auto', ...(name === 'SQLite' ? {} : { DATABASE_URL: address }) };
    const server = await startServer({ home, env });
    for (const fields of [works, patient]) await server.callTool('save_skill', fields);
    const underWay = server.callTool('patient', { x: 80 });
    await migrateFurther(address);
    const isRefused = async () => {
      const { result } = await server.callTool('works', { x: 1 });
      return result?.isError === true && textOf(result).includes('[database_newer]');
    };
    expect(await until(isRefused)).toBe(true);
    const { result } = await server.callTool('list_runs');
    expect(textOf(result)).toMatch(/\[database_newer\].*step.*Restart this process/s);
    expect((await underWay).result.structuredContent).toEqual({ y: 1 });
    // Longer than it takes to look around once more.
    await until(() => false, 2_500);
    expect(server.log().match(/database_newer/g)).toHaveLength(1);
  });

  it('makes a server over HTTP not ready, and ends a worker with what to do', async () => {
    const home = makeHome();
    const address = await place(home);
    const env: Record<string, string> = name === 'SQLite' ? {} : { DATABASE_URL: address };
    const [http, worker] = [await startHttp(home, env), await startWorker({ home, env })];
    expect((await send(http.url, '/readyz')).status).toBe(200);
    await migrateFurther(address);
    expect(await until(async () => (await send(http.url, '/readyz')).status === 503)).toBe(true);
    expect((await send(http.url, '/readyz')).json).toEqual({ status: 'unavailable', database: 'database_newer' });
    expect((await send(http.url, '/healthz')).status).toBe(200);
    const refused = await send(http.url, '/v1/tools/list_runs', http.token, { body: {} });
    expect([refused.status, refused.json.title]).toEqual([503, 'database_newer']);
    expect(await worker.ended).toEqual({ code: 1, signal: null });
    expect(worker.stderr()).toContain('"code":"database_newer"');
    expect(http.stderr().match(/Restart this process\."/g)).toHaveLength(1);
  });
});
