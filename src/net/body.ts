import { pipeline, type Readable, type Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { WeaverError } from '../errors.ts';

const decoders: Readonly<Record<string, () => Transform>> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
};

/** What a server may choose to send a body in; `decoded` undoes it. */
export const acceptEncoding = 'gzip, deflate, br';

/**
 * A body without its content coding, in pieces as they come. At most `maxBytes` are read and at most as many given, so
 * that neither an endless answer nor a small one that unpacks to a huge one fills the memory.
 * @throws WeaverError `limit_exceeded`, `unavailable` for a coding that nobody asked for; whatever the stream fails with.
 */
export async function* decoded(body: Readable, coding: string | undefined, maxBytes: number): AsyncGenerator<Buffer> {
  const name = (coding ?? '').trim().toLowerCase();
  const isPlain = name === '' || name === 'identity';
  const decoder = isPlain ? undefined : decoders[name]?.();
  if (!isPlain && !decoder) {
    throw new WeaverError('unavailable', `The answer is in the content coding ${JSON.stringify(name.slice(0, 50))}.`, {
      hint: `Read are ${acceptEncoding}, one at a time.`,
    });
  }
  if (!decoder) return yield* capped(body, maxBytes);
  // The failure of either comes out where the pieces are read.
  pipeline(capped(body, maxBytes), decoder, () => {});
  yield* capped(decoder, maxBytes);
}

async function* capped(source: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const piece of source) {
    bytes += piece.byteLength;
    if (bytes > maxBytes) throw tooLarge(maxBytes);
    yield piece;
  }
}

/** The error of an answer that is larger than its reader allows. */
export const tooLarge = (maxBytes: number): WeaverError =>
  new WeaverError('limit_exceeded', `The answer has more than ${maxBytes} bytes.`, {
    hint: 'Ask for less: a page, a range, fewer fields.',
    details: { limit: 'response_bytes' },
  });
