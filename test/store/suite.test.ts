import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { openDatabase } from '../../src/store/database.ts';
import { needsPostgres, type PostgresServer, startPostgres } from '../helpers/postgres.ts';
import { makeHome } from '../helpers/process.ts';
import { leaseSuite } from '../suites/leases.ts';
import { outboxSuite } from '../suites/outbox.ts';
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

const stores = [
  { name: 'a SQLite file', isShared: true, makePlace: onFile },
  { name: 'SQLite in memory', isShared: false, makePlace: inMemory },
  { name: 'PostgreSQL', missing: needsPostgres, isShared: true, makePlace: onPostgres },
];
for (const store of stores) {
  storeSuite(store);
  if (!store.isShared) continue;
  outboxSuite(store);
  leaseSuite(store);
}

tenantSuite('SQLite in memory', '', async () => (await inMemory())());
tenantSuite('PostgreSQL', needsPostgres, async () => (await onPostgres())());
