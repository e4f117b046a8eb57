import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { WeaverError } from '../errors.ts';
import { deriveKey, keyBytes, parseKey, type SecretKey } from './cipher.ts';

/** The keys that this home has for its secrets, read anew at every call: another process may have changed them. */
export interface Keyring {
  /** Where new keys come from, for messages. */
  readonly place: string;
  /** All keys, the one to use for what is new first; empty where none has been made yet. */
  keys(): Promise<SecretKey[]>;
  /** The same, after making a first key where there is none. */
  ensure(): Promise<[SecretKey, ...SecretKey[]]>;
  /** Makes another key and puts it first; undefined where keys are given by a setting, so that only people make them. */
  add?(): Promise<SecretKey>;
  /** Forgets all keys but those of these ids. */
  keep?(ids: ReadonlySet<string>): Promise<void>;
}

interface KeyPlace {
  home: string;
  /** Of TOOLWEAVER_KEY, the current one first. */
  key?: readonly string[] | undefined;
}

/** The keys of TOOLWEAVER_KEY and after them those of the file `secrets.key` in the home; new ones are made in the file. */
export function createKeyring({ home, key = [] }: KeyPlace): Keyring {
  const file = join(home, 'secrets.key');
  const given = key.map(parseKey);
  const inFile = async (): Promise<Buffer[]> => (await readKeys(file)) ?? [];
  const keys = async () => [...given, ...(await inFile())].map(deriveKey);
  if (given.length > 0) {
    return { place: 'TOOLWEAVER_KEY', keys, ensure: async () => (await keys()) as [SecretKey, ...SecretKey[]] };
  }
  return {
    place: file,
    keys,
    async ensure() {
      if ((await readKeys(file)) === undefined) await makeFile(file);
      return (await keys()) as [SecretKey, ...SecretKey[]];
    },
    async add() {
      const made = randomBytes(keyBytes);
      await replaceFile(file, [made, ...(await inFile())]);
      return deriveKey(made);
    },
    async keep(ids) {
      const all = await inFile();
      const kept = all.filter((one) => ids.has(deriveKey(one).id));
      if (kept.length > 0 && kept.length < all.length) await replaceFile(file, kept);
    },
  };
}

const othersMode = 0o077;

/** @throws WeaverError `not_supported` for a file that others may read, or that holds no keys. */
async function readKeys(file: string): Promise<Buffer[] | undefined> {
  let text: string;
  try {
    await refuseOpen(file);
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error instanceof WeaverError ? error : cannotBe('read', file, error);
  }
  const lines = text.split('\n').map((line) => line.trim());
  const keys = lines.filter((line) => line !== '' && !line.startsWith('#')).map((line) => keyOf(file, line));
  if (keys.length > 0) return keys;
  throw new WeaverError('not_supported', `${file} holds no key.`, { hint: mending(file) });
}

function keyOf(file: string, line: string): Buffer {
  try {
    return parseKey(line);
  } catch (cause) {
    throw new WeaverError('not_supported', `${file} holds a line that is no key.`, { hint: mending(file), cause });
  }
}

const mending = (file: string): string =>
  `Put the file of a back-up there. Without it the secrets of this home are lost: then delete ${file} and set them anew.`;

async function refuseOpen(file: string): Promise<void> {
  const { mode, uid } = await stat(file);
  // Windows has no such modes; its home folders are their owner's alone.
  if (process.platform === 'win32') return;
  if ((mode & othersMode) !== 0) {
    throw new WeaverError('not_supported', `${file} may be read by others, so its keys are not used.`, {
      hint: `Run: chmod 600 ${file}. If somebody may have read it, then: toolweaver secret rotate`,
    });
  }
  const me = process.getuid?.();
  if (me === 0 || uid === me) return;
  throw new WeaverError('not_supported', `${file} belongs to another user, so its keys are not used.`, {
    hint: 'Start ToolWeaver as that user, or set TOOLWEAVER_HOME to a folder of your own.',
  });
}

// Whole from the first moment, and of one process alone where several begin at once.
async function makeFile(file: string): Promise<void> {
  await withNewFile(file, [randomBytes(keyBytes)], async (whole) => {
    await link(whole, file).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  });
}

const replaceFile = (file: string, keys: readonly Buffer[]): Promise<void> =>
  withNewFile(file, keys, (whole) => rename(whole, file));

async function withNewFile(
  file: string,
  keys: readonly Buffer[],
  use: (whole: string) => Promise<void>,
): Promise<void> {
  const whole = `${file}.${randomBytes(6).toString('hex')}`;
  const lines = [
    '# Keys of the secrets of this ToolWeaver. Who has them and the database has the secrets.',
    ...keys.map((key) => key.toString('hex')),
  ];
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    await writeDown(whole, `${lines.join('\n')}\n`);
    await use(whole);
    await keepName(dirname(file));
  } catch (error) {
    throw cannotBe('written', file, error);
  } finally {
    await rm(whole, { force: true });
  }
}

// On the disk before anything is encrypted under it: a power cut may take what was encrypted, never its key.
async function writeDown(file: string, text: string): Promise<void> {
  const handle = await open(file, 'wx', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function keepName(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

const cannotBe = (done: string, file: string, cause: unknown): WeaverError =>
  new WeaverError('not_supported', `The keys of secrets cannot be ${done} in ${file}: ${(cause as Error).message}`, {
    hint: 'Let this user use the home, set TOOLWEAVER_HOME to another folder, or give a key by TOOLWEAVER_KEY.',
    cause,
  });
