/** Where a Redis is, and how to sign in there. */
export interface RedisAddress {
  /** One server; of a cluster, some that know the others. */
  nodes: { host: string; port: number }[];
  isCluster: boolean;
  isEncrypted: boolean;
  username?: string;
  password?: string;
  /** Number of the database; a cluster has only 0. */
  database: number;
}

/** What an address may be, for who wrote another. */
export const redisAddressForm =
  'must be redis://user:password@host:6379/0, rediss:// for TLS, or redis+cluster://host:6379,host:6380 (rediss+cluster:// for TLS); special characters of a password are percent-encoded';

const usualPort = 6379;

/** Reads such an address; undefined when it is none. Nothing in it is passed over: it has no options. */
export function readRedisAddress(text: string): RedisAddress | undefined {
  const form = /^redis(s?)(\+cluster)?:\/\/(?:([^@/?#]*)@)?([^@/?#]+?)(?:\/(\d{1,4})?)?$/.exec(text);
  if (!form) return undefined;
  const [, encrypted, cluster, account, hosts = '', database] = form;
  const signIn = account === undefined ? {} : readAccount(account);
  const nodes = hosts.split(',').flatMap(readNode);
  const isCluster = cluster !== undefined;
  const hasAll = nodes.length === hosts.split(',').length;
  const fits = isCluster ? database === undefined : nodes.length === 1;
  if (!signIn || !hasAll || !fits) return undefined;
  return { nodes, isCluster, isEncrypted: encrypted !== '', database: Number(database ?? 0), ...signIn };
}

// A user without a password is a password in the wrong place: redis://s3cret@host.
function readAccount(account: string): { username?: string; password: string } | undefined {
  const [, user = '', secret = ''] = /^([^:]*):(.+)$/.exec(account) ?? [];
  try {
    const [username, password] = [decodeURIComponent(user), decodeURIComponent(secret)];
    return password === '' ? undefined : { password, ...(username !== '' && { username }) };
  } catch {
    return undefined; // A percent sign that encodes nothing.
  }
}

function readNode(text: string): { host: string; port: number }[] {
  const [, six, name, digits] = /^(?:\[([\da-fA-F:.]+)\]|([\w.-]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const port = Number(digits ?? usualPort);
  const host = six ?? name;
  return host !== undefined && port > 0 && port < 65_536 ? [{ host, port }] : [];
}

/** The address as messages may show it: without user and password. */
export function placeOfRedis({ nodes, isCluster, isEncrypted, database }: RedisAddress): string {
  const hosts = nodes.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`);
  const scheme = `redis${isEncrypted ? 's' : ''}${isCluster ? '+cluster' : ''}`;
  return `${scheme}://${hosts.join(',')}${isCluster ? '' : `/${database}`}`;
}
