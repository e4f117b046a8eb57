import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { parse as parseYaml } from 'yaml';
import * as z from 'zod';
import { WeaverError } from './errors.ts';
import { isRecord } from './json.ts';
import { logLevels } from './log.ts';
import { readRedisAddress, redisAddressForm } from './redis-address.ts';

interface SettingMeta {
  env: string;
  isSecret?: boolean;
}
const setting = <T extends z.ZodType>(schema: T, text: string, meta: SettingMeta) =>
  schema.describe(text).meta({ ...meta });

// Not coerced: true, [30] and an empty text would become numbers as well.
const count = (min: number, max: number) =>
  z.preprocess(
    (value) => (typeof value === 'string' && /^\s*\d+\s*$/.test(value) ? Number(value) : value),
    z
      .int({ error: `must be a whole number from ${min} to ${max}` })
      .min(min)
      .max(max),
  );

const databaseAddress = z.string().refine((text) => isFileAddress(text) || isPostgresAddress(text), {
  error:
    'must be the address of a SQLite file with its whole path (sqlite:///var/lib/toolweaver.db) or of PostgreSQL (postgres://user:password@host/database)',
});

const webAddress = z.url({ protocol: /^https?$/, error: 'must be an address that starts with http:// or https://' });

/** 32 bytes as text, hexadecimal or base64 in either alphabet. */
export const keyText = /^(?:[0-9A-Fa-f]{64}|[\w+/-]{43}=?)$/;

/** Every setting: its type, default, meaning and environment variable. */
export const settings = z.strictObject({
  home: setting(z.string().min(1).default('~/.toolweaver'), 'Folder of the database and of config.yaml.', {
    env: 'TOOLWEAVER_HOME',
  }),
  logLevel: setting(z.enum(logLevels).default('warn'), 'What goes to stderr.', { env: 'TOOLWEAVER_LOG_LEVEL' }),
  expose: setting(
    z.enum(['all', 'auto', 'pinned', 'meta']).default('all'),
    'Which saved tools `tools/list` shows beside the built-ins: all; auto (all up to 40, then pinned and most used); pinned; meta (none).',
    { env: 'TOOLWEAVER_EXPOSE' },
  ),
  pinned: setting(
    z.preprocess(splitList, z.array(z.string().min(1))).default([]),
    'Names of saved tools that `auto` and `pinned` always list (comma list).',
    { env: 'TOOLWEAVER_PINNED' },
  ),
  approval: setting(
    z.enum(['risk', 'always', 'auto']).default('risk'),
    'When a saved version waits for a person: risk (unless it can reach nothing and an example passes), always, auto (never).',
    { env: 'TOOLWEAVER_APPROVAL' },
  ),
  allowAnyHost: setting(
    z.preprocess(toBoolean, z.boolean()).default(false),
    'Whether a skill may declare `*`, any host, as the place that its requests go to.',
    { env: 'TOOLWEAVER_ALLOW_ANY_HOST' },
  ),
  privateHosts: setting(
    z.preprocess(splitList, z.array(z.string().min(1).max(253))).default([]),
    'Names of hosts in your own network that skills may declare (comma list); others that lead there are refused.',
    { env: 'TOOLWEAVER_PRIVATE_HOSTS' },
  ),
  callTimeoutMs: setting(
    count(100, 86_400_000).default(300_000),
    'Longest time for one call, nested calls included, in milliseconds.',
    { env: 'TOOLWEAVER_CALL_TIMEOUT_MS' },
  ),
  httpAddress: setting(
    z
      .string()
      .regex(/^(?:[\w.-]+|\[[\da-fA-F:.]+\]):\d{1,5}$/, 'must be host:port, such as 127.0.0.1:7077')
      .default('127.0.0.1:7077'),
    'Address of `serve --http`; port 0 takes a free one.',
    { env: 'TOOLWEAVER_HTTP_ADDRESS' },
  ),
  httpAllowedHosts: setting(
    z.preprocess(splitList, z.array(z.string().min(1))).default([]),
    'More host names by which the HTTP server may be called, without ports (comma list).',
    { env: 'TOOLWEAVER_HTTP_ALLOWED_HOSTS' },
  ),
  httpAllowedOrigins: setting(
    z.preprocess(splitList, z.array(webAddress)).default([]),
    'Origins of web pages that may call the HTTP server, such as https://app.example.com (comma list).',
    { env: 'TOOLWEAVER_HTTP_ALLOWED_ORIGINS' },
  ),
  auth: setting(
    z.enum(['token', 'oauth', 'none']).default('token'),
    'Who may call over HTTP: token (of `toolweaver token create`), oauth (access tokens of an issuer), none (loopback only).',
    { env: 'TOOLWEAVER_AUTH' },
  ),
  issuer: setting(webAddress.optional(), 'The OAuth issuer whose access tokens are taken.', {
    env: 'TOOLWEAVER_ISSUER',
  }),
  audience: setting(
    z.string().min(1).optional(),
    'The audience that access tokens must name: the address of this server as its clients know it.',
    { env: 'TOOLWEAVER_AUDIENCE' },
  ),
  elicitationApproves: setting(
    z.preprocess(toBoolean, z.boolean()).default(false),
    "Whether a person's answer through the host's own dialog may decide a review of low risk; kept as unverified.",
    { env: 'TOOLWEAVER_ELICITATION_APPROVES' },
  ),
  sandboxThreads: setting(count(1, 64).optional(), 'Threads that run saved code. Default: one per core, 2 to 4.', {
    env: 'TOOLWEAVER_SANDBOX_THREADS',
  }),
  denoPath: setting(
    z.string().min(1).optional(),
    'The Deno that runs skills which need more than the default engine. Default: the package deno, or the one on the PATH.',
    { env: 'TOOLWEAVER_DENO' },
  ),
  pythonPath: setting(
    z.string().min(1).optional(),
    'The Python that runs skills written in it, inside of bubblewrap. Default: python3 on the PATH.',
    { env: 'TOOLWEAVER_PYTHON' },
  ),
  eventDays: setting(count(1, 3_650).default(90), 'Days for which call events are kept.', {
    env: 'TOOLWEAVER_EVENT_DAYS',
  }),
  recordRuns: setting(
    count(0, 1_000).default(0),
    'How many of the latest runs of skills are recorded, encrypted, to be replayed; 0 records none.',
    { env: 'TOOLWEAVER_RECORD_RUNS' },
  ),
  recordDays: setting(count(1, 90).default(7), 'Days for which recorded runs are kept.', {
    env: 'TOOLWEAVER_RECORD_DAYS',
  }),
  analyticsBackend: setting(
    z.preprocess(splitList, z.array(z.enum(['sqlite', 'none']))).default(['sqlite']),
    'Where call events go (comma list): sqlite (the database) or none.',
    { env: 'ANALYTICS_BACKEND' },
  ),
  key: setting(
    z
      .preprocess(splitList, z.array(z.string().regex(keyText, 'must be 32 bytes as 64 hex digits or as base64')))
      .optional(),
    'Key of the secrets: 32 bytes as hex or base64; older ones may follow (comma list). Default: a file in the home.',
    { env: 'TOOLWEAVER_KEY', isSecret: true },
  ),
  databaseUrl: setting(
    databaseAddress.optional(),
    'Database address, of a SQLite file or of PostgreSQL. Default: a SQLite file in the home.',
    {
      env: 'DATABASE_URL',
      isSecret: true,
    },
  ),
  redisUrl: setting(
    z
      .string()
      .refine((text) => readRedisAddress(text) !== undefined, { error: redisAddressForm })
      .optional(),
    'Address of a Redis that many processes share: a cache and a bus between them. Everything works without it, only slower.',
    { env: 'REDIS_URL', isSecret: true },
  ),
});

export type Config = Readonly<z.infer<typeof settings>>;
export type SettingName = keyof Config;
export type Source = 'default' | 'file' | 'environment' | 'flag';

/** Environment variable of each setting. */
export const settingNames = Object.keys(settings.shape) as SettingName[];
export const metaOf = (name: SettingName): SettingMeta => settings.shape[name].meta() as unknown as SettingMeta;

export interface LoadedConfig {
  config: Config;
  /** Where each value came from. */
  sources: Readonly<Record<SettingName, Source>>;
  /** The file that was read, or would have been. */
  file: string;
}

/**
 * Reads all settings: defaults, then config.yaml of the home, then the environment, then flags; the later the stronger.
 * @throws WeaverError `bad_input` that lists every problem at once; nothing falls back to a default because it was wrong.
 */
export function loadConfig(env: NodeJS.ProcessEnv, flags: Partial<Record<SettingName, unknown>> = {}): LoadedConfig {
  const fromEnv = readEnv(env);
  const home = resolveHome(String(flags.home ?? fromEnv.home ?? '~/.toolweaver'));
  const file = join(home, 'config.yaml');
  const problems: string[] = [];
  const fromFile = readFile(file, problems);
  const merged = { ...fromFile, ...fromEnv, ...defined(flags), home };
  const parsed = settings.safeParse(merged);
  for (const issue of parsed.error?.issues ?? [])
    problems.push(describeIssue(issue, { fromFile, fromEnv, flags, file }));
  if (problems.length > 0 || !parsed.success) {
    throw new WeaverError('bad_input', `Settings cannot be used:\n${problems.map((p) => `- ${p}`).join('\n')}`, {
      hint: 'docs/configuration.md lists every setting. Mend these and start again.',
      details: { problems },
    });
  }
  const sourceOf = (name: SettingName): Source =>
    flags[name] !== undefined ? 'flag' : name in fromEnv ? 'environment' : name in fromFile ? 'file' : 'default';
  const sources = Object.fromEntries(settingNames.map((name) => [name, sourceOf(name)])) as Record<SettingName, Source>;
  return { config: Object.freeze(parsed.data), sources, file };
}

/** Where the database is: PostgreSQL's address, or a file, by default one in the home. */
export function databaseFileOf({ databaseUrl, home }: Pick<Config, 'databaseUrl' | 'home'>): string {
  if (databaseUrl === undefined) return join(home, 'toolweaver.db');
  return isPostgresAddress(databaseUrl) ? databaseUrl : decodeURIComponent(new URL(databaseUrl).pathname);
}

/** The value as it may be printed: secrets are only `set` or `unset`. */
export function printable(name: SettingName, config: Config): unknown {
  const value = config[name];
  return metaOf(name).isSecret && value !== undefined ? '(set, not shown)' : value;
}

interface Origins {
  fromFile: Record<string, unknown>;
  fromEnv: Record<string, unknown>;
  flags: Record<string, unknown>;
  file: string;
}

// The value itself is not repeated: it may be a secret that was put into the wrong place.
function describeIssue(issue: z.core.$ZodIssue, { fromEnv, flags, file }: Origins): string {
  if (issue.code === 'unrecognized_keys') return `${issue.keys.join(', ')} in ${file}: no such setting`;
  const name = String(issue.path[0]) as SettingName;
  const place =
    flags[name] !== undefined ? `--${kebab(name)}` : name in fromEnv ? metaOf(name).env : `${name} in ${file}`;
  return `${place}: ${issue.message}`;
}

function readEnv(env: NodeJS.ProcessEnv): Record<string, unknown> {
  const entries = settingNames.map((name) => [name, env[metaOf(name).env]] as const);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined && value !== ''));
}

function readFile(file: string, problems: string[]): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    // No file is the normal case; any other trouble with it must be said.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
      problems.push(`${file} cannot be read: ${(error as Error).message}`);
    return {};
  }
  return parseFile(file, text, problems);
}

function parseFile(file: string, text: string, problems: string[]): Record<string, unknown> {
  try {
    const value: unknown = parseYaml(text, { maxAliasCount: 10 }) ?? {};
    if (!isRecord(value)) {
      problems.push(`${file}: must be a list of "setting: value" lines`);
      return {};
    }
    if ('home' in value) problems.push(`${file}: home cannot be set in the home itself; use TOOLWEAVER_HOME or --home`);
    if ('key' in value) problems.push(`${file}: key cannot be set in a file that others may read; use TOOLWEAVER_KEY`);
    return value;
  } catch (error) {
    problems.push(`${file}: ${(error as Error).message.split('\n')[0]}`);
    return {};
  }
}

function resolveHome(home: string): string {
  return resolve(home === '~' || home.startsWith('~/') ? join(homedir(), home.slice(1)) : home);
}

const isPostgresAddress = (text: string): boolean =>
  /^postgres(?:ql)?:\/\/./.test(text) && URL.canParse(text) && new URL(text).pathname.length > 1;

// A host, a relative path or options would be dropped without a word: sqlite://tw.db has a host and no path.
function isFileAddress(text: string): boolean {
  if (!/^(?:sqlite|file):(?:\/\/)?\/(?!\/)[^?#]*[^/?#]$/.test(text) || !URL.canParse(text)) return false;
  try {
    return decodeURIComponent(new URL(text).pathname) !== '';
  } catch {
    // A percent sign that encodes nothing.
    return false;
  }
}

function splitList(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  return value
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

function toBoolean(value: unknown): unknown {
  return value === 'true' ? true : value === 'false' ? false : value;
}

const defined = (flags: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined));

export const kebab = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
