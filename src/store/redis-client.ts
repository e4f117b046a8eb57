import type { Cluster, Redis, RedisOptions } from 'ioredis';
import { loadOptional } from '../optional.ts';
import type { RedisAddress } from '../redis-address.ts';

const connectMs = 1_000;

// Nothing waits in a queue, nothing is sent twice and nothing connects by itself: who uses it decides all that.
const options = {
  // The form of the protocol that every server of it speaks.
  protocol: 2,
  disableClientInfo: true,
  connectTimeout: connectMs,
  disconnectTimeout: 50,
  enableReadyCheck: false,
  enableOfflineQueue: false,
  autoResubscribe: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  retryStrategy: null,
  lazyConnect: true,
} satisfies RedisOptions;

/** A connection to Redis, or those to the servers of a cluster. */
export type RedisClient = Redis | Cluster;

/**
 * Loads the client of Redis, and gives what makes one that is not connected yet.
 * @throws WeaverError `not_supported` when its package is missing.
 */
export async function loadRedisClient(address: RedisAddress): Promise<() => RedisClient> {
  // The default alone is the same from node_modules and from the bundle: it is a CommonJS module.
  const { default: ioredis } = await loadOptional('ioredis', 'Redis', () => import('ioredis'));
  const { nodes, isCluster, isEncrypted, username, password, database: db } = address;
  const own: RedisOptions = {
    ...options,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(isEncrypted && { tls: {} }),
  };
  if (!isCluster) return () => new ioredis.Redis({ ...own, ...nodes[0], db });
  const { enableOfflineQueue, retryStrategy, ...redisOptions } = own;
  return () =>
    new ioredis.Cluster(nodes, {
      redisOptions,
      enableOfflineQueue: enableOfflineQueue === true,
      enableReadyCheck: false,
      lazyConnect: true,
      slotsRefreshTimeout: connectMs,
      clusterRetryStrategy: () => null,
      // A certificate is for a name, not for the number that it stands for.
      ...(isEncrypted && { dnsLookup: (name, found) => found(null, name) }),
    });
}

/** A server that has answered nothing in the time that it had. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
}

/**
 * What `work` gives, if it does so in that time.
 * @throws NoAnswer, or what `work` throws.
 */
export async function within<T>(limitMs: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    // An answer that came while this process was busy has not been read yet: that is done before the check phase.
    timer = setTimeout(() => setImmediate(() => reject(new NoAnswer())), limitMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** True where the connection is sound and Redis only refuses to keep more. */
export const isOnlyFull = (error: unknown): boolean => /^(OOM|MISCONF)$/.test(kindOf(error));

/** True where only one key is wrong: somebody put something else in the place of a value. */
export const isOfOneKey = (error: unknown): boolean => kindOf(error) === 'WRONGTYPE';

/** Why Redis is of no use, in words that hold nothing of the address: Redis repeats passwords in some of its own. */
export function reasonOf(error: unknown): string {
  const kind = kindOf(error);
  return reasons.find(([pattern]) => pattern.test(kind))?.[1] ?? (kind || 'the connection broke');
}

function kindOf(thrown: unknown): string {
  const {
    name,
    message = '',
    code,
    lastNodeError,
  } = thrown as Partial<NodeJS.ErrnoException & { lastNodeError: unknown }>;
  if (lastNodeError) return kindOf(lastNodeError);
  if (name === 'NoAnswer') return name;
  if (/RESP/.test(message)) return 'NOREDIS';
  if (name !== 'ReplyError') return code ?? (name === 'TypeError' ? name : '');
  const sentence = Object.keys(sentences).find((text) => message.includes(text));
  return sentences[sentence ?? ''] ?? /^[A-Z]+/.exec(message)?.[0] ?? '';
}

// What servers say with the one code ERR.
const sentences: Readonly<Record<string, string>> = {
  'max number of clients': 'MAXCLIENTS',
  'invalid password': 'WRONGPASS',
  'cluster support disabled': 'NOCLUSTER',
  'DB index is out of range': 'NODATABASE',
};

const reasons: readonly [RegExp, string][] = [
  [/^(NoAnswer|ETIMEDOUT)$/, 'it does not answer in time'],
  [/^ECONNREFUSED$/, 'nothing listens there'],
  [/^(ENOTFOUND|EAI_AGAIN)$/, 'there is no such host'],
  [/^(WRONGPASS|NOAUTH)$/, 'the password is wrong or missing'],
  [/^NOPERM$/, 'the user may not do what is needed'],
  [/^OOM$/, 'it is full'],
  [/^MISCONF$/, 'it cannot write to its disk'],
  [/^LOADING$/, 'it is loading its data'],
  [/^READONLY$/, 'it is a read-only replica'],
  [/^MAXCLIENTS$/, 'it takes no more connections'],
  [/^NOREDIS$/, 'what listens there is no Redis'],
  [/^NOCLUSTER$/, 'it is no cluster'],
  [/^(MOVED|ASK|CROSSSLOT)$/, 'it is one of a cluster, whose address begins with redis+cluster://'],
  [/^(CLUSTERDOWN|TRYAGAIN)$/, 'the cluster is down'],
  [/CERT|UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER/, 'its certificate is not trusted'],
  [/^(EPROTO|ERR_SSL)/, 'it does not speak TLS'],
  [/^NODATABASE$/, 'it has no database of that number'],
  [/^database_|^busy$/, 'its key cannot be read from the database'],
];
