import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';

/** The canonical text of a JSON value (RFC 8785), the same for equal values whatever the order of their keys. */
export function canonicalJson(value: unknown): string {
  const text = canonicalize(value);
  if (text === undefined) throw new TypeError('Not a JSON value');
  return text;
}

/** sha256 of text or bytes as 64 hex digits. */
export function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

/** True when two JSON values are equal; order of keys does not count. */
export function isSameJson(a: unknown, b: unknown): boolean {
  return canonicalJson(a) === canonicalJson(b);
}

/**
 * True when no object or array in `value` lies deeper than `maxDepth`. Works without recursion, so that a value nested
 * 200,000 times, on which JSON.stringify overflows the stack, is measured too.
 */
export function isWithinDepth(value: unknown, maxDepth: number): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    const next: unknown[] = [];
    for (const node of level) {
      if (node === null || typeof node !== 'object') continue;
      if (depth >= maxDepth) return false;
      for (const child of Object.values(node)) next.push(child);
    }
    level = next;
  }
  return true;
}

/** Bytes of `text` in UTF-8. */
export function byteLength(text: string): number {
  return Buffer.byteLength(text, 'utf8');
}

/** How deep what goes into a tool or comes out of it may nest. */
export const maxJsonDepth = 64;

/** Bytes of a value's JSON text; what JSON cannot hold counts as null. */
export const jsonBytes = (value: unknown): number => byteLength(JSON.stringify(value) ?? 'null');

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
