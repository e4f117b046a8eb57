import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { lstat, mkdir, open, readdir, realpath, rename, rm } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { WeaverError } from '../errors.ts';
import { byteLength } from '../json.ts';

const maxBytes = 100_000_000;
const maxFiles = 1_000;
const maxReadBytes = 4_000_000;
const maxPathCharacters = 1_000;
const maxNameBytes = 200;
const maxPathDepth = 16;
const unfinished = '.unfinished-';
const staleMs = 3_600_000;
// What is portable, visible and no trick of a shell or a file system.
const deviceName = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i;
const namePattern = /^(?!\.\.?$)[\p{L}\p{M}\p{N}_@+=,()[\]{}#~ .-]*[\p{L}\p{M}\p{N}_@+=,()[\]{}#~-]$/u;

/** A file of a workspace; `size` in bytes. */
export interface WorkspaceFile {
  path: string;
  size: number;
}

export interface ReadRange {
  /** In bytes; 0 where absent. */
  offset?: number | undefined;
  /** In bytes; all that may be read at once where absent. */
  length?: number | undefined;
}

/**
 * The folder of one tenant's skill: at most 100 MB in 1,000 files, reached by relative paths with `/`. Nothing outside of
 * it can be named, and links in it are not followed. Errors: `bad_input` (path, data), `not_found`, `limit_exceeded`
 * (details.limit = files | size), `not_allowed` (a link).
 */
export interface Workspace {
  /** At most 4 MB at once. */
  read(path: string, range?: ReadRange): Promise<Buffer>;
  /** Replaces the file, as a whole or not at all; makes the folders that it is in. */
  write(path: string, data: Buffer): Promise<void>;
  append(path: string, data: Buffer): Promise<void>;
  /** All files in a folder, those of its folders included, by path. */
  list(folder?: string): Promise<WorkspaceFile[]>;
  /** Removes a file; false when there is none. */
  remove(path: string): Promise<boolean>;
}

/** The workspace in a folder, which is made at the first write. */
export function openWorkspace(root: string): Workspace {
  const inTurn = createQueue();
  const place = async (path: string): Promise<string> => {
    const file = join(root, ...partsOf(path));
    await refuseLinks(root, file);
    return file;
  };
  const check = async (file: string, added: number, isNew: boolean): Promise<void> => {
    const found = await walk(root, root);
    await removeStale(root, found);
    const files = found.filter(isWhole);
    const size = files.reduce((sum, one) => sum + one.size, 0) + added;
    if (isNew && files.length >= maxFiles) throw full('files', `holds ${maxFiles} files already`);
    if (size > maxBytes) throw full('size', `would hold ${size} bytes, over ${maxBytes}`);
    await mkdir(dirname(file), { recursive: true, mode: 0o700 }).catch(explain(relative(root, file)));
    // Made meanwhile by somebody else, it could be a link.
    await refuseLinks(root, file);
  };
  return {
    async read(path, { offset = 0, length = maxReadBytes + 1 } = {}) {
      const file = await place(path);
      const bytes = await readPart(file, path, offset, length);
      if (bytes.length <= maxReadBytes) return bytes;
      throw new WeaverError('limit_exceeded', `${path} has more than ${maxReadBytes} bytes.`, {
        hint: 'Read it in parts: { offset, length }.',
        details: { limit: 'size' },
      });
    },
    write: (path, data) =>
      inTurn(async () => {
        const file = await place(path);
        const before = await sizeOf(file, path);
        await check(file, data.length - (before ?? 0), before === undefined);
        await replace(root, file, data).catch(explain(path));
      }),
    append: (path, data) =>
      inTurn(async () => {
        const file = await place(path);
        await check(file, data.length, (await sizeOf(file, path)) === undefined);
        await appendTo(file, data).catch(explain(path));
      }),
    async list(folder = '') {
      const from = folder === '' ? root : await place(folder);
      const files = (await walk(root, from)).filter(isWhole).map(({ path, size }) => ({ path, size }));
      return files.sort((a, b) => (a.path < b.path ? -1 : 1));
    },
    remove: (path) =>
      inTurn(async () => {
        const file = await place(path);
        if ((await sizeOf(file, path)) === undefined) return false;
        await rm(file).catch(explain(path));
        return true;
      }),
  };
}

/** The workspaces of a home, each one for all calls in this process: their changes take turns, so that the quota holds. */
export function createWorkspaces(home: string): (tenant: string, skill: string) => Workspace {
  const known = new Map<string, Workspace>();
  return (tenant, skill) => {
    const folder = workspaceFolder(home, tenant, skill);
    const space = known.get(folder) ?? openWorkspace(folder);
    known.set(folder, space);
    return space;
  };
}

/** The folder of a tenant's skill below that of all workspaces. */
export const workspaceFolder = (home: string, tenant: string, skill: string): string =>
  join(home, 'workspaces', encodeURIComponent(tenant).replaceAll('.', '%2E'), skill);

// One change at a time, so that the quota holds for all of them together.
function createQueue() {
  let tail: Promise<unknown> = Promise.resolve();
  return <T>(work: () => Promise<T>): Promise<T> => {
    const mine = tail.then(work);
    tail = mine.catch(() => {});
    return mine;
  };
}

function partsOf(path: string): string[] {
  const parts = typeof path === 'string' ? path.split('/') : [];
  const isFine =
    parts.length > 0 && path.length <= maxPathCharacters && parts.length <= maxPathDepth && parts.every(isName);
  if (isFine) return parts;
  throw new WeaverError('bad_input', `${JSON.stringify(String(path).slice(0, 100))} is no path of a file.`, {
    hint: 'Use a relative path such as reports/2026.csv: letters, digits and - _ . in names, "/" between, no "..".',
  });
}

const isName = (part: string): boolean =>
  namePattern.test(part) && !deviceName.test(part) && byteLength(part) <= maxNameBytes && !part.startsWith(unfinished);

/** Refuses a path that leads over a link, which could lead anywhere. */
async function refuseLinks(root: string, file: string): Promise<void> {
  const real = await realpath(root).catch(() => root);
  for (let at = file; at.length > root.length; at = dirname(at)) {
    const stat = await lstat(at).catch(() => undefined);
    if (!stat?.isSymbolicLink()) continue;
    throw new WeaverError('not_allowed', `${relative(root, at)} is a link; links are not followed.`, {
      hint: `Whoever owns ${real} may replace it by a file.`,
    });
  }
}

async function sizeOf(file: string, path: string): Promise<number | undefined> {
  const stat = await lstat(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    return explain(path)(error);
  });
  if (!stat || stat.isFile()) return stat?.size;
  throw new WeaverError('bad_input', `${path} is no file.`, { hint: 'Name a file in it.' });
}

async function readPart(file: string, path: string, offset: number, length: number): Promise<Buffer> {
  const handle = await open(file, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0)).catch(explain(path));
  try {
    const { size } = await handle.stat();
    const bytes = Buffer.alloc(Math.max(0, Math.min(length, maxReadBytes + 1, size - offset)));
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, offset).catch(explain(path));
    return bytes.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

async function replace(root: string, file: string, data: Buffer): Promise<void> {
  const part = join(root, `${unfinished}${randomBytes(8).toString('hex')}`);
  try {
    const handle = await open(part, 'wx', 0o600);
    await handle.writeFile(data).finally(() => handle.close());
    await rename(part, file);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}

async function appendTo(file: string, data: Buffer): Promise<void> {
  const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0);
  const handle = await open(file, flags, 0o600);
  await handle.writeFile(data).finally(() => handle.close());
}

interface Found extends WorkspaceFile {
  mtimeMs: number;
}

/** What is no file yet lies at the root, until it is renamed. */
const isWhole = ({ path }: Found): boolean => !path.startsWith(unfinished);

// What a process left that was killed while it wrote.
async function removeStale(root: string, found: readonly Found[]): Promise<void> {
  const stale = found.filter((one) => !isWhole(one) && one.mtimeMs < Date.now() - staleMs);
  for (const { path } of stale) await rm(join(root, path), { force: true });
}

async function walk(root: string, folder: string): Promise<Found[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      return explain(relative(root, folder))(error);
    },
  );
  return Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map(async (entry) => {
        const file = join(entry.parentPath ?? entry.path, entry.name);
        const stat = await lstat(file).catch(() => undefined);
        const path = relative(root, file).split(sep).join('/');
        return { path, size: stat?.size ?? 0, mtimeMs: stat?.mtimeMs ?? Number.POSITIVE_INFINITY };
      }),
  );
}

const full = (limit: 'files' | 'size', what: string): WeaverError =>
  new WeaverError('limit_exceeded', `The workspace ${what}.`, {
    hint: 'Remove what is not needed any more.',
    details: { limit },
  });

/** Errors of the file system in words, without the place of the home. */
const explain =
  (path: string) =>
  (error: NodeJS.ErrnoException): never => {
    const { code = '' } = error;
    if (error instanceof WeaverError) throw error;
    if (code === 'ENOENT') {
      throw new WeaverError('not_found', `There is no file ${path}.`, {
        hint: 'ctx.files.list() shows what there is.',
      });
    }
    if (['ENOTDIR', 'EISDIR', 'EEXIST'].includes(code)) {
      throw new WeaverError('bad_input', `${path} is a folder, or lies in a file.`, { hint: 'Use another path.' });
    }
    if (code === 'ELOOP') throw new WeaverError('not_allowed', `${path} is a link; links are not followed.`);
    throw new WeaverError('unavailable', `${path} cannot be used: ${code}.`, { cause: error });
  };
