import { startPostgres } from '../helpers/postgres.ts';

/** Global set-up: `testApp` makes its databases on a PostgreSQL of this run. */
export default async function overPostgres(): Promise<() => Promise<void>> {
  const server = await startPostgres({ max_connections: '300' });
  process.env.TOOLWEAVER_TEST_POSTGRES = server.address('postgres');
  return () => server.close();
}
