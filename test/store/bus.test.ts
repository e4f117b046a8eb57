import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { signingKey } from '../../src/access/keys.ts';
import { silentLog } from '../../src/log.ts';
import { readRedisAddress } from '../../src/redis-address.ts';
import type { Database } from '../../src/store/database.ts';
import { raiseGeneration } from '../../src/store/generation.ts';
import { openPostgres } from '../../src/store/postgres.ts';
import { openRedis } from '../../src/store/redis.ts';
import { needsPostgres, type PostgresServer, startPostgres } from '../helpers/postgres.ts';
import { until } from '../helpers/process.ts';
import { openProxy } from '../helpers/proxy.ts';
import { needsRedis, type RedisServer, startRedis } from '../helpers/redis.ts';

const missing = needsPostgres + needsRedis;
let postgres: PostgresServer;
let redis: RedisServer;

beforeAll(async () => {
  if (missing === '') [postgres, redis] = await Promise.all([startPostgres(), startRedis()]);
});
afterAll(() => Promise.all([postgres?.close(), redis?.close()]));

// So rarely that only the bus can tell.
const pollMs = 3_600_000;

/** A database as a process with Redis has it, which hears of changes by the bus alone. */
async function open(address: string): Promise<Database> {
  const database = await openPostgres(address, silentLog, pollMs);
  onTestFinished(() => database.close());
  const link = await openRedis(
    readRedisAddress(redis.address) ?? expect.fail('no address'),
    () => signingKey(database, 'local', 'redis'),
    silentLog,
  );
  onTestFinished(() => link.close());
  database.join(link);
  await link.check();
  return database;
}

const raise = (database: Database, tenant = 'local'): Promise<number> =>
  database.write((trx) => raiseGeneration(trx, tenant));

/** The channel on which the processes of this test tell each other, once those of the one before have gone. */
const channelOf = async (): Promise<string> => {
  const client = redis.client();
  const open = async () => (await client.pubsub('CHANNELS', 'toolweaver:*')) as string[];
  expect(await until(async () => (await open()).length === 1)).toBe(true);
  return (await open())[0] ?? '';
};

describe.skipIf(missing !== '')(`the bus between processes on one PostgreSQL${missing}`, () => {
  it('makes a change in one visible in all the others, in both directions', async () => {
    const address = await postgres.createDatabase();
    const [one, two, three] = [await open(address), await open(address), await open(address)];
    for (let round = 1; round <= 5; round++) {
      const changed = round % 2 === 0 ? one : two;
      expect(await raise(changed)).toBe(round);
      for (const other of [one, two, three]) {
        expect(await until(() => other.generation('local') === round)).toBe(true);
      }
    }
  });

  it('tells of changes of every tenant', async () => {
    const address = await postgres.createDatabase();
    const [one, two] = [await open(address), await open(address)];
    await Promise.all(['a', 'b', 'c'].map((tenant) => raise(one, tenant)));
    expect(await until(() => ['a', 'b', 'c'].every((tenant) => two.generation(tenant) === 1))).toBe(true);
  });

  it('loses no change when many come at once', async () => {
    const address = await postgres.createDatabase();
    const [one, two] = [await open(address), await open(address)];
    await Promise.all(Array.from({ length: 30 }, (_, i) => raise(i % 2 === 0 ? one : two)));
    expect(await until(() => one.generation('local') === 30 && two.generation('local') === 30)).toBe(true);
  });

  it('says nothing for a write that changes no catalog', async () => {
    const address = await postgres.createDatabase();
    const [one] = [await open(address), await open(address)];
    const heard: string[] = [];
    const spy = redis.client();
    onTestFinished(() => spy.disconnect());
    await spy.subscribe(await channelOf());
    spy.on('message', (_, from) => heard.push(String(from)));
    await signingKey(one, 'local', 'another');
    expect(heard).toEqual([]);
    await raise(one);
    expect(await until(() => heard.length === 1)).toBe(true);
  });

  it('is made by a forged message to look, and to nothing else', async () => {
    const address = await postgres.createDatabase();
    const [one, two] = [await open(address), await open(address)];
    const forger = redis.client();
    const channel = await channelOf();
    const messages = ['', '999', '{"tenant":"local","generation":999}', '\0'.repeat(100_000), 'x'];
    for (const message of messages) await forger.publish(channel, message);
    // Another program changes the database and tells nobody: the next message, whoever sends it, makes it seen.
    await postgres.run(new URL(address).pathname.slice(1), "insert into generation values ('local', 7)");
    await forger.publish(channel, 'anything');
    expect(await until(() => two.generation('local') === 7)).toBe(true);
    expect(await raise(one)).toBe(8);
  });

  it('lets a flood of messages through to the database a hundred times a second at most', async () => {
    const network = await openProxy(postgres.port);
    onTestFinished(() => network.close());
    await open(network.through(await postgres.createDatabase()));
    let looks = 0;
    network.cutsAfter = (sent) => {
      if (sent.includes('from "generation"')) looks++;
      return false;
    };
    const [forger, channel, began] = [redis.client(), await channelOf(), performance.now()];
    // One by one, so that they do not arrive in one packet.
    for (let i = 0; i < 3_000; i++) await forger.publish(channel, 'x');
    expect(looks).toBeGreaterThan(0);
    expect(looks).toBeLessThan((performance.now() - began) / 10 + 10);
  });
});
