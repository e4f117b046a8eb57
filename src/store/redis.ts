import { createHmac, randomBytes } from 'node:crypto';
import { WeaverError } from '../errors.ts';
import type { Log } from '../log.ts';
import { placeOfRedis, type RedisAddress } from '../redis-address.ts';
import type { Bus } from './bus.ts';
import {
  isOfOneKey,
  isOnlyFull,
  loadRedisClient,
  NoAnswer,
  type RedisClient,
  reasonOf,
  within,
} from './redis-client.ts';

/** How long anything waits for Redis: longer, and going to the database is quicker. */
const answerMs = 50;
const connectMs = 1_500;
const watchMs = 5_000;
/** How many late answers in a row mean that it is slow. */
const probes = 3;
const [firstPauseMs, longestPauseMs] = [200, 5_000];

type Commands = Pick<RedisClient, 'set' | 'getBuffer' | 'del'>;

/** What all processes on one database share, made of a secret that stands in it. */
interface Identity {
  /** Begins every key and channel of theirs. */
  readonly prefix: string;
  /** 32 bytes. */
  readonly key: Buffer;
}

/** Redis, as far as it is of use. It may be away, slow or full at any time: nothing here waits for it longer than 50 ms. */
export interface RedisLink extends Bus {
  /** Where it is, for messages. */
  readonly place: string;
  /** Why it is of no use just now; undefined while it works, and until it was tried. */
  trouble(): string | undefined;
  /** What `command` gives; undefined where Redis is of no use, refuses, or does not answer in time. Never throws. */
  ask<T>(command: (redis: Commands, identity: Identity) => Promise<T>): Promise<T | undefined>;
  /**
   * Tries it now, and gives the milliseconds of its answer.
   * @throws WeaverError `unavailable` with the reason.
   */
  check(): Promise<number>;
  /** What was announced last is sent before. */
  close(): Promise<void>;
}

/**
 * Begins to connect to Redis, and goes on by itself whatever becomes of it: each time that it fails, and that it works
 * again, is said once.
 * @param secretOf gives the secret of the database; asked until it answers.
 * @throws WeaverError `not_supported` when the package is missing.
 */
export async function openRedis(address: RedisAddress, secretOf: () => Promise<string>, log: Log): Promise<RedisLink> {
  const link = new Link(await loadRedisClient(address), placeOfRedis(address), secretOf, log);
  void link.attempt();
  return link;
}

class Link implements RedisLink {
  readonly place: string;
  readonly #makeClient: () => RedisClient;
  readonly #secretOf: () => Promise<string>;
  readonly #log: Log;
  /** Tells own announcements from those of others. */
  readonly #me = randomBytes(8).toString('hex');
  readonly #announced = new Set<Promise<void>>();
  /** Connected or about to be. */
  readonly #clients = new Set<RedisClient>();
  #state: 'new' | 'well' | 'broken' | 'closed' = 'new';
  #reason = '';
  /** An answer was late: nothing is asked until the next attempt has told whether that goes on. */
  #isDoubted = false;
  #identity: Identity | undefined;
  #commands: RedisClient | undefined;
  /** A connection that listens can do nothing else. */
  #news: RedisClient | undefined;
  #heard: (() => void) | undefined;
  #attempt: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #pauseMs = firstPauseMs;
  #answeredInMs = 0;

  constructor(makeClient: () => RedisClient, place: string, secretOf: () => Promise<string>, log: Log) {
    this.#makeClient = makeClient;
    this.place = place;
    this.#secretOf = secretOf;
    this.#log = log;
  }

  trouble(): string | undefined {
    return this.#state === 'broken' ? this.#reason : undefined;
  }

  async ask<T>(command: (redis: Commands, identity: Identity) => Promise<T>): Promise<T | undefined> {
    if (this.#state !== 'well' || this.#isDoubted || !this.#commands || !this.#identity) return undefined;
    try {
      return await within(answerMs, command(this.#commands, this.#identity));
    } catch (error) {
      if (!isOfOneKey(error)) this.#failed(error);
      return undefined;
    }
  }

  announce(): void {
    // Also while it is full: that keeps no message back.
    if (!this.#commands || !this.#identity) return;
    const sent = within(answerMs, this.#commands.publish(`${this.#identity.prefix}news`, this.#me))
      .then(() => {})
      .catch((error: unknown) => this.#failed(error))
      .finally(() => this.#announced.delete(sent));
    this.#announced.add(sent);
  }

  onNews(heard: () => void): void {
    this.#heard = heard;
    void Promise.resolve(this.#attempt).then(() => this.attempt());
  }

  async check(): Promise<number> {
    await this.#attempt;
    await this.attempt();
    const trouble = this.trouble();
    if (trouble === undefined) return this.#answeredInMs;
    throw new WeaverError('unavailable', `${this.place} cannot be used: ${trouble}.`, {
      hint: 'Check that it runs, and REDIS_URL: name, user, password, rights. Calls go on without it.',
    });
  }

  async close(): Promise<void> {
    await Promise.all(this.#announced);
    this.#state = 'closed';
    clearTimeout(this.#timer);
    this.#drop();
  }

  /** Tries whether it is of use, now and again after a while. One at a time. */
  attempt(): Promise<void> {
    this.#attempt ??= this.#try()
      .then(
        () => this.#works(),
        (error: unknown) => this.#broke(error),
      )
      .finally(() => {
        this.#attempt = undefined;
      });
    return this.#attempt;
  }

  async #try(): Promise<void> {
    this.#identity ??= identityOf(await this.#secretOf());
    const { prefix } = this.#identity;
    this.#commands ??= await this.#connect();
    if (this.#heard && !this.#news) this.#news = await this.#listen(`${prefix}news`, this.#heard);
    for (let left = probes; ; left--) {
      try {
        return await this.#probe(this.#commands, prefix);
      } catch (error) {
        // This process may have been the slow one; nobody waits for this.
        if (!(error instanceof NoAnswer) || left <= 1) throw error;
      }
    }
  }

  /** All that will be done: to keep something, to tell, to listen. Nobody listens to this channel. */
  async #probe(commands: RedisClient, prefix: string): Promise<void> {
    const started = performance.now();
    const kept = commands.set(`${prefix}tried`, '', 'PX', 1_000);
    const told = commands.publish(`${prefix}tried`, '');
    await within(answerMs, Promise.all([kept, told, this.#news?.ping()]));
    this.#answeredInMs = performance.now() - started;
  }

  async #connect(): Promise<RedisClient> {
    const client = this.#makeClient();
    this.#clients.add(client);
    let met: unknown;
    let metByNode: unknown;
    // The first is the cause; that the connection closed is what came of it.
    client.on('error', (error: unknown) => {
      met ??= error;
    });
    // A cluster goes on without some of its servers.
    client.on('node error', (error: unknown) => {
      metByNode ??= error;
    });
    try {
      await within(connectMs, client.connect());
    } catch (error) {
      met = metByNode ?? met ?? error;
    }
    // Also one that was survived: where a database is not there, another would be used.
    if (met) {
      this.#clients.delete(client);
      client.disconnect();
      throw met;
    }
    return client.once('end', () => this.#failed(met ?? new Error('The connection ended')));
  }

  async #listen(channel: string, heard: () => void): Promise<RedisClient> {
    const client = await this.#connect();
    client.on('message', (_: string, from: string) => {
      if (from !== this.#me) heard();
    });
    await within(answerMs, client.subscribe(channel));
    // Something may have been said before.
    heard();
    return client;
  }

  /** A single late answer is no trouble yet; whatever else went wrong is. */
  #failed(error: unknown): void {
    if (this.#state !== 'well') return;
    if (!(error instanceof NoAnswer)) return this.#broke(error);
    this.#isDoubted = true;
    void this.attempt();
  }

  #broke(error: unknown): void {
    if (this.#state === 'closed') return this.#drop();
    this.#reason = reasonOf(error);
    if (this.#state !== 'broken') {
      // Not the error itself: it holds the command, which may be the one with the password.
      this.#log.warn(
        { redis: this.place, reason: this.#reason },
        'Redis is of no use just now; all goes on without it',
      );
      this.#pauseMs = firstPauseMs;
    }
    this.#state = 'broken';
    if (!isOnlyFull(error)) this.#drop();
    this.#attemptAfter(this.#pauseMs);
    this.#pauseMs = Math.min(this.#pauseMs * 2, longestPauseMs);
  }

  #works(): void {
    if (this.#state === 'closed') return this.#drop();
    if (this.#state === 'broken') this.#log.warn({ redis: this.place }, 'Redis works again');
    this.#state = 'well';
    this.#isDoubted = false;
    this.#attemptAfter(watchMs);
  }

  #attemptAfter(pauseMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.attempt(), pauseMs * (0.75 + Math.random() / 2)).unref();
  }

  #drop(): void {
    for (const client of this.#clients) client.disconnect();
    this.#clients.clear();
    this.#commands = undefined;
    this.#news = undefined;
  }
}

function identityOf(secret: string): Identity {
  const derive = (what: string): Buffer => createHmac('sha256', secret).update(what).digest();
  return { prefix: `toolweaver:${derive('prefix').toString('hex').slice(0, 16)}:`, key: derive('key') };
}
