import type { Dispatcher } from 'undici';
import { decoded, tooLarge } from './body.ts';
import { toNetError } from './failure.ts';
import { type Headers, joinHeaders } from './headers.ts';
import type { NetLimits } from './request.ts';
import { placeOf } from './rules.ts';

/** An answer, of whatever status. `body` is read once, or `close` is called. */
export interface NetResponse {
  status: number;
  statusText: string;
  /** Where the answer came from, after redirects. */
  url: string;
  headers: Headers;
  /** Hosts that were asked, in order; the last one answered. */
  hosts: readonly string[];
  /** The body without content coding, in pieces as they come. Fails with a WeaverError. */
  body: AsyncIterable<Uint8Array>;
  /** Ends the answer before its end; nothing happens where it has ended. */
  close(): void;
}

/** Gives an answer up, unread. */
export function discard({ body }: Dispatcher.ResponseData): void {
  // What comes of a connection that is given up interests nobody.
  body.on('error', () => {}).destroy();
}

interface Origin {
  url: URL;
  hosts: string[];
  limits: NetLimits;
  method: string;
  signal: AbortSignal;
  end(): void;
}

/** @throws WeaverError `limit_exceeded` where the server announces too much. */
export function toResponse(
  answer: Dispatcher.ResponseData,
  { url, hosts, limits, method, signal, end }: Origin,
): NetResponse {
  const headers = joinHeaders(answer.headers);
  const close = () => {
    discard(answer);
    end();
  };
  if (method !== 'HEAD' && Number(headers['content-length']) > limits.responseBytes) {
    discard(answer);
    throw tooLarge(limits.responseBytes);
  }
  // Until somebody reads, nobody else listens.
  answer.body.on('error', () => {});
  return {
    status: answer.statusCode,
    statusText: answer.statusText,
    url: url.href,
    headers,
    hosts,
    body: pieces(answer, { host: placeOf(url), limits, method, signal, close }),
    close,
  };
}

interface Pieces extends Pick<Origin, 'limits' | 'method' | 'signal'> {
  host: string;
  close(): void;
}

async function* pieces(
  answer: Dispatcher.ResponseData,
  { host, limits, method, signal, close }: Pieces,
): AsyncGenerator<Uint8Array> {
  const isEmpty = method === 'HEAD' || answer.statusCode === 204 || answer.statusCode === 304;
  const coding = isEmpty ? undefined : joinHeaders(answer.headers)['content-encoding'];
  try {
    yield* decoded(answer.body, coding, limits.responseBytes);
  } catch (error) {
    throw signal.aborted ? signal.reason : toNetError(host, error);
  } finally {
    close();
  }
}

/** All of an answer's body. @throws WeaverError as `send`. */
export async function readBytes({ body }: Pick<NetResponse, 'body'>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of body) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** An answer's body as text (UTF-8), in pieces as they come. No letter is cut in two. */
export async function* readText({ body }: Pick<NetResponse, 'body'>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  for await (const piece of body) {
    const text = decoder.decode(piece, { stream: true });
    if (text !== '') yield text;
  }
  const rest = decoder.decode();
  if (rest !== '') yield rest;
}
