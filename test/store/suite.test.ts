import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { openDatabase } from '../../src/store/database.ts';
import { needsPostgres, type PostgresServer, startPostgres } from '../helpers/postgres.ts';
import { makeHome } from '../helpers/process.ts';
import { storeSuite } from '../suites/store.ts';
import { tenantSuite } from '../suites/tenants.ts';

let server: PostgresServer | undefined;

beforeAll(async () => {
  if (needsPostgres === '') server = await startPostgres();
});
afterAll(() => server?.close());

const onFile = async () => {
  const file = join(makeHome(), 'toolweaver.db');
  return () => openDatabase(file);
};
const inMemory = async () => () => openDatabase(':memory:');
const onPostgres = async () => {
  const address = (await server?.createDatabase()) ?? '';
  return () => openDatabase(address);
};

storeSuite({ name: 'a SQLite file', isShared: true, makePlace: onFile });
storeSuite({ name: 'SQLite in memory', isShared: false, makePlace: inMemory });
storeSuite({ name: 'PostgreSQL', missing: needsPostgres, isShared: true, makePlace: onPostgres });

tenantSuite('SQLite in memory', '', async () => (await inMemory())());
tenantSuite('PostgreSQL', needsPostgres, async () => (await onPostgres())());
