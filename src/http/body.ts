import type { IncomingMessage } from 'node:http';
import { WeaverError } from '../errors.ts';
import { isJsonBody, maxDiscardedBytes } from './problem.ts';

/** The largest body that is read, in bytes. */
const maxBodyBytes = 4 * 2 ** 20;

/**
 * The JSON value of a request's body; undefined when there is none.
 * @throws WeaverError `too_large` over 4 MiB, `bad_input` for another type (details.reason `media_type`), broken JSON
 * (`json`) or a body that ends early.
 */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  const bytes = await readBody(request);
  if (bytes.length === 0) return undefined;
  if (!isJsonBody(request)) {
    throw new WeaverError('bad_input', 'The body must be JSON.', {
      hint: 'Send content-type: application/json.',
      details: { reason: 'media_type' },
    });
  }
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new WeaverError('bad_input', `The body is not JSON: ${(cause as Error).message}`, {
      hint: 'Send one JSON value in UTF-8.',
      details: { reason: 'json' },
      cause,
    });
  }
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const mostBytes = maxBodyBytes + maxDiscardedBytes;
  if (Number(request.headers['content-length'] ?? 0) > mostBytes) throw tooLarge();
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    // Leaving the loop must not end the connection: the answer goes the same way.
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      size += (chunk as Buffer).length;
      if (size <= maxBodyBytes) chunks.push(chunk as Buffer);
      else chunks.length = 0;
      if (size > mostBytes) break;
    }
  } catch (cause) {
    throw new WeaverError('bad_input', 'The body ended before it was whole.', { hint: 'Send it again.', cause });
  }
  if (size > maxBodyBytes) throw tooLarge();
  return Buffer.concat(chunks);
}

const tooLarge = (): WeaverError =>
  new WeaverError('too_large', `The body is over ${maxBodyBytes} bytes.`, { hint: 'Send less, or a part at a time.' });
