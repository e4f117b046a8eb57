import { WeaverError } from '../errors.ts';
import { isRecord, jsonBytes } from '../json.ts';
import { shortText } from '../text/clean.ts';

/** The most that one page, or any result, pours into a model. */
export const maxModelBytes = 40_000;
// The longest path that get_run takes.
const maxPathLength = 500;
const maxPageBytes = maxModelBytes * 0.75;

export interface Page {
  path: string;
  type: string;
  /** Elements of an array, characters of a string, keys of an object. */
  total?: number;
  offset?: number;
  /** Where the next page starts; absent on the last. */
  nextOffset?: number;
  value: unknown;
}

/**
 * A part of a value that fits a model: what stands at `path` (`rows.3.name`), from `offset`, at most `limit` elements,
 * characters or keys, and fewer where they would be over 30 kB.
 * @throws WeaverError `not_found` when nothing stands there.
 */
export function pageOf(root: unknown, path: string, offset: number, limit: number): Page {
  const found = path === '' ? { value: root } : find(root, path);
  if (!found) {
    throw new WeaverError('not_found', `Nothing stands at "${shortText(path, 100)}".`, {
      hint: 'A path names keys and positions with dots between them, such as rows.3.name.',
    });
  }
  const { value } = found;
  if (typeof value === 'string') return pageOfText(path, value, offset, limit);
  if (Array.isArray(value)) return pageOfList(path, value, offset, limit);
  if (isRecord(value)) return pageOfObject(path, value, offset, limit);
  return { path, type: value === null ? 'null' : typeof value, value };
}

function pageOfText(path: string, text: string, offset: number, limit: number): Page {
  // By code point: half a surrogate pair is no text.
  const characters = [...text];
  const end = pageEnd(characters, offset, limit, (character) => jsonBytes(character) - 2);
  return { ...pageHead(path, 'string', characters, offset, end), value: characters.slice(offset, end).join('') };
}

function pageOfList(path: string, list: unknown[], offset: number, limit: number): Page {
  const end = pageEnd(list, offset, limit, (element) => jsonBytes(element) + 1);
  if (end === offset && end < list.length) return tooBigPart(path, 'array', list, offset, String(offset));
  return { ...pageHead(path, 'array', list, offset, end), value: list.slice(offset, end) };
}

function pageOfObject(path: string, object: Record<string, unknown>, offset: number, limit: number): Page {
  const entries = Object.entries(object);
  const end = pageEnd(entries, offset, limit, (entry) => jsonBytes(entry));
  const key = entries[offset]?.[0];
  if (end === offset && key !== undefined) return tooBigPart(path, 'object', entries, offset, key);
  return { ...pageHead(path, 'object', entries, offset, end), value: Object.fromEntries(entries.slice(offset, end)) };
}

function pageEnd<T>(parts: readonly T[], offset: number, limit: number, bytesOf: (part: T) => number): number {
  const last = Math.min(parts.length, offset + limit);
  let end = offset;
  for (let bytes = 0; end < last; end++) {
    bytes += bytesOf(parts[end] as T);
    if (bytes > maxPageBytes) break;
  }
  return end;
}

const pageHead = (path: string, type: string, { length }: readonly unknown[], offset: number, end: number) => ({
  path,
  type,
  total: length,
  offset,
  ...(end < length && { nextOffset: end }),
});

// One element alone is over the limit: say where it is instead of sending it.
function tooBigPart(path: string, type: string, parts: readonly unknown[], offset: number, key: string): Page {
  const inner = path === '' ? key : `${path}.${key}`;
  const isReachable = inner.length <= maxPathLength;
  const advice = isReachable ? `ask for path ${JSON.stringify(inner)}` : 'its key is too long for a path, too';
  return { ...pageHead(path, type, parts, offset, offset + 1), value: `too large for a page; ${advice}` };
}

// Keys may hold dots themselves, so every way to read the path is tried.
function find(value: unknown, path: string): { value: unknown } | undefined {
  if (value === null || typeof value !== 'object') return undefined;
  const ends = [...path.matchAll(/\./g)].map((dot) => dot.index);
  for (const end of [...ends, path.length]) {
    const key = path.slice(0, end);
    if (!Object.hasOwn(value, key)) continue;
    const inner = (value as Record<string, unknown>)[key];
    const found = end === path.length ? { value: inner } : find(inner, path.slice(end + 1));
    if (found) return found;
  }
  return undefined;
}
