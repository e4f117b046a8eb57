import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

const algorithm = 'aes-256-gcm';
const [nonceBytes, tagBytes] = [12, 16];

/**
 * Bytes under a key of 32 bytes (AES-256-GCM, NIST SP 800-38D): a random nonce, the tag, and what was enclosed. They open
 * only with the same `context`.
 */
export function sealBytes(key: Buffer, parts: readonly Uint8Array[], context: string): Buffer {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv(algorithm, key, nonce, { authTagLength: tagBytes }).setAAD(Buffer.from(context));
  const sealed = [...parts.map((part) => cipher.update(part)), cipher.final()];
  return Buffer.concat([nonce, cipher.getAuthTag(), ...sealed]);
}

/** What `sealBytes` was given, as one; undefined when key, context or bytes are not those of that time. */
export function openBytes(key: Buffer, whole: Buffer, context: string): Buffer | undefined {
  const [nonce, tag] = [whole.subarray(0, nonceBytes), whole.subarray(nonceBytes, nonceBytes + tagBytes)];
  if (tag.length !== tagBytes) return undefined;
  const decipher = createDecipheriv(algorithm, key, nonce, { authTagLength: tagBytes });
  decipher.setAAD(Buffer.from(context)).setAuthTag(tag);
  try {
    return Buffer.concat([decipher.update(whole.subarray(nonceBytes + tagBytes)), decipher.final()]);
  } catch {
    // Whatever differs, the one answer is that it does not open.
    return undefined;
  }
}
