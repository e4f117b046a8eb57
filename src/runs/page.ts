import { WeaverError } from '../errors.ts';
import { byteLength, isRecord } from '../json.ts';

/** The most that one page, or any result, pours into a model. */
export const maxModelBytes = 40_000;

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
  const value = walk(root, path);
  if (typeof value === 'string')
    return pageOfParts(path, 'string', [...value], offset, limit, (parts) => parts.join(''));
  if (Array.isArray(value)) return pageOfParts(path, 'array', value, offset, limit, (parts) => parts);
  if (isRecord(value)) return pageOfParts(path, 'object', Object.entries(value), offset, limit, Object.fromEntries);
  return { path, type: value === null ? 'null' : typeof value, value };
}

function pageOfParts<T>(
  path: string,
  type: string,
  parts: T[],
  offset: number,
  limit: number,
  join: (parts: T[]) => unknown,
): Page {
  const room = maxModelBytes * 0.75;
  let end = offset;
  for (let used = 0; end < parts.length && end < offset + limit; end++) {
    used += byteLength(JSON.stringify(parts[end])) + 1;
    if (used > room) break;
  }
  if (end === offset && offset < parts.length) return tooBigPart(path, type, parts, offset);
  return {
    path,
    type,
    total: parts.length,
    offset,
    ...(end < parts.length && { nextOffset: end }),
    value: join(parts.slice(offset, end)),
  };
}

// One element alone is over the limit: say where it is instead of sending it.
function tooBigPart<T>(path: string, type: string, parts: T[], offset: number): Page {
  const part = parts[offset];
  const key = type === 'object' ? String((part as [string, unknown])[0]) : String(offset);
  const inner = path === '' ? key : `${path}.${key}`;
  return {
    path,
    type,
    total: parts.length,
    offset,
    ...(offset + 1 < parts.length && { nextOffset: offset + 1 }),
    value: `too large for a page; ask for path ${JSON.stringify(inner)}`,
  };
}

function walk(root: unknown, path: string): unknown {
  let value = root;
  for (const step of path === '' ? [] : path.split('.')) {
    const isThere = value !== null && typeof value === 'object' && Object.hasOwn(value, step);
    if (!isThere) {
      throw new WeaverError(
        'not_found',
        `Nothing stands at ${JSON.stringify(path)}: no ${JSON.stringify(step)} there.`,
        {
          hint: 'A path names keys and positions with dots between them, such as rows.3.name.',
        },
      );
    }
    value = (value as Record<string, unknown>)[step];
  }
  return value;
}
