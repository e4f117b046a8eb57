import { describe, expect, it } from 'vitest';
import { placeOfRedis, readRedisAddress } from '../src/redis-address.ts';

describe('the address of a Redis', () => {
  it.each([
    ['redis://cache', [{ host: 'cache', port: 6379 }], {}],
    ['redis://cache/', [{ host: 'cache', port: 6379 }], {}],
    ['redis://127.0.0.1:7000/3', [{ host: '127.0.0.1', port: 7000 }], { database: 3 }],
    ['redis://[::1]:7000', [{ host: '::1', port: 7000 }], {}],
    ['redis://:p%40ss@cache', [{ host: 'cache', port: 6379 }], { password: 'p@ss' }],
    ['redis://ada:a:b@cache', [{ host: 'cache', port: 6379 }], { username: 'ada', password: 'a:b' }],
    ['rediss://cache', [{ host: 'cache', port: 6379 }], { isEncrypted: true }],
    ['redis+cluster://cache', [{ host: 'cache', port: 6379 }], { isCluster: true }],
    [
      'rediss+cluster://:s@one:7000,two,[::1]:7002',
      [
        { host: 'one', port: 7000 },
        { host: 'two', port: 6379 },
        { host: '::1', port: 7002 },
      ],
      { isCluster: true, isEncrypted: true, password: 's' },
    ],
  ])('may be %s', (text, nodes, more) => {
    expect(readRedisAddress(text)).toEqual({ nodes, isCluster: false, isEncrypted: false, database: 0, ...more });
  });

  it.each([
    '',
    'cache:6379',
    'http://cache',
    'redis://',
    'redis:///0',
    'redis://cache:0',
    'redis://cache:65536',
    'redis://cache:',
    'redis://cache/x',
    'redis://cache/0/1',
    'redis://cache?db=1',
    'redis://cache#1',
    'redis://s3cret@cache',
    'redis://ada:@cache',
    'redis://:%80@cache',
    'redis://:a@b@cache',
    'redis://one,two',
    'redis+cluster://one,,two',
    'redis+cluster://one,two/0',
    'redis://ca che',
    'redis://cache\n',
    'REDIS://cache',
    `redis://${'a:1,'.repeat(50_000)}`,
  ])('may not be %.60j', (text) => {
    expect(readRedisAddress(text)).toBeUndefined();
  });

  it.each([
    ['redis://ada:s3cret@cache/2', 'redis://cache:6379/2'],
    ['rediss://:s3cret@[::1]', 'rediss://[::1]:6379/0'],
    ['redis+cluster://:s3cret@one,two:7000', 'redis+cluster://one:6379,two:7000'],
  ])('is shown without who signs in: %s', (text, shown) => {
    const address = readRedisAddress(text);
    expect(address && placeOfRedis(address)).toBe(shown);
  });
});
