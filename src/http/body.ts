import type { IncomingMessage } from 'node:http';
import { WeaverError } from '../errors.ts';
import { isJsonBody } from './problem.ts';

/** The largest body that is read, in bytes. */
export const maxBodyBytes = 4 * 2 ** 20;

/**
 * The JSON value of a request's body; undefined when there is none.
 * @throws WeaverError `too_large` over 4 MiB, `bad_input` for another type, broken JSON or a body that ends early.
 */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  const declared = Number(request.headers['content-length'] ?? 0);
  if (declared > maxBodyBytes) throw tooLarge(request);
  const text = await readText(request);
  if (text === '') return undefined;
  if (!isJsonBody(request)) {
    throw new WeaverError('bad_input', 'The body must be JSON.', { hint: 'Send content-type: application/json.' });
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new WeaverError('bad_input', `The body is not JSON: ${(cause as Error).message}`, {
      hint: 'Send one JSON value in UTF-8.',
      cause,
    });
  }
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of request) {
      size += (chunk as Buffer).length;
      if (size > maxBodyBytes) throw tooLarge(request);
      chunks.push(chunk as Buffer);
    }
  } catch (cause) {
    if (cause instanceof WeaverError) throw cause;
    throw new WeaverError('bad_input', 'The body ended before it was whole.', { hint: 'Send it again.', cause });
  }
  return Buffer.concat(chunks).toString('utf8');
}

function tooLarge(request: IncomingMessage): WeaverError {
  // The rest is not read: the connection ends with the answer.
  request.unpipe();
  return new WeaverError('too_large', `The body is over ${maxBodyBytes} bytes.`, {
    hint: 'Send less, or a part at a time.',
  });
}
