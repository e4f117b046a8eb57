import { hkdfSync } from 'node:crypto';
import { keyText } from '../config.ts';
import { WeaverError } from '../errors.ts';
import { openBytes, sealBytes } from '../gcm.ts';

/** Bytes of a key, as it stands in a file or in TOOLWEAVER_KEY. */
export const keyBytes = 32;

/** A key of secrets. `id` may be seen by anybody and says nothing about the key. */
export interface SecretKey {
  readonly id: string;
  readonly bytes: Buffer;
}

/** The key of secrets that is made of 32 bytes, which may so serve other ends too. */
export function deriveKey(master: Uint8Array): SecretKey {
  const derive = (use: string, length: number) =>
    Buffer.from(hkdfSync('sha256', master, '', `toolweaver ${use}`, length));
  return { id: derive('secrets key id', 8).toString('hex'), bytes: derive('secrets', 32) };
}

/**
 * The 32 bytes that a text stands for: 64 hex digits, or base64 (either alphabet).
 * @throws WeaverError `bad_input`, without the text.
 */
export function parseKey(text: string): Buffer {
  if (keyText.test(text)) return Buffer.from(text, text.length === 2 * keyBytes ? 'hex' : 'base64');
  throw new WeaverError('bad_input', 'The key of secrets is not 32 bytes as 64 hex digits or as base64.', {
    hint: 'Make one with: openssl rand -hex 32',
  });
}

/** `text` under a key, as base64. It opens only with the same `context`. */
export const encrypt = ({ bytes }: SecretKey, text: string, context: string): string =>
  sealBytes(bytes, [Buffer.from(text)], context).toString('base64');

/** What `encrypt` was given; undefined when key, context or text are not those of that time. */
export const decrypt = ({ bytes }: SecretKey, sealed: string, context: string): string | undefined =>
  openBytes(bytes, Buffer.from(sealed, 'base64'), context)?.toString('utf8');
