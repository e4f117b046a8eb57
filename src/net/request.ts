import { WeaverError } from '../errors.ts';
import { byteLength } from '../json.ts';
import { checkHeaders, type Headers } from './headers.ts';
import { hostOf, methods } from './rules.ts';

/** What one request may take. Times are in milliseconds. */
export interface NetLimits {
  urlBytes: number;
  headerCount: number;
  headerBytes: number;
  requestBytes: number;
  /** Of the answer's body, as it comes and unpacked. */
  responseBytes: number;
  redirects: number;
  /** From the request, or the last redirect, to the answer's headers. */
  headersMs: number;
  /** Between two pieces of the answer. */
  idleMs: number;
  /** From the call to the end of the answer, redirects included; 0 for a stream without end. */
  totalMs: number;
}

export const defaultNetLimits: NetLimits = Object.freeze({
  urlBytes: 8_192,
  headerCount: 64,
  headerBytes: 16_384,
  requestBytes: 10_000_000,
  responseBytes: 10_000_000,
  redirects: 5,
  headersMs: 20_000,
  idleMs: 10_000,
  totalMs: 30_000,
});

export interface NetRequest {
  /** http or https, without user and password. */
  url: string;
  method?: string | undefined;
  headers?: Headers | undefined;
  /** Headers that prove who asks. A redirect to another origin loses them, one from https to http is refused. */
  credentials?: Headers | undefined;
  body?: string | Uint8Array | undefined;
  signal?: AbortSignal | undefined;
}

/** A request that is in order: where it goes, with headers by their names in lower case. */
export interface Step {
  url: URL;
  method: string;
  headers: Record<string, string>;
  credentials: Record<string, string>;
  body: string | Uint8Array | undefined;
  /** Whether credentials were sent, to this origin or on the way. */
  wasSecret: boolean;
}

/** @throws WeaverError `bad_input`, `limit_exceeded`. */
export function prepare(
  { url, method = 'GET', headers = {}, credentials = {}, body }: NetRequest,
  limits: NetLimits,
): Step {
  const verb = method.toUpperCase();
  if (!(methods as readonly string[]).includes(verb)) {
    throw badRequest(`${JSON.stringify(method.slice(0, 50))} is no method.`, `Methods: ${methods.join(', ')}.`);
  }
  if (body !== undefined && (verb === 'GET' || verb === 'HEAD')) {
    throw badRequest(`A ${verb} has no body.`, 'Put it into the address, or send a POST.');
  }
  const bytes = typeof body === 'string' ? byteLength(body) : (body?.byteLength ?? 0);
  if (bytes > limits.requestBytes) {
    throw new WeaverError('limit_exceeded', `The body has ${bytes} bytes; at most ${limits.requestBytes} are sent.`, {
      hint: 'Send it in parts.',
      details: { limit: 'request_bytes' },
    });
  }
  const checked = checkHeaders({ ...headers, ...credentials }, limits);
  const secret = new Set([...Object.keys(credentials).map((name) => name.toLowerCase()), 'authorization', 'cookie']);
  const pick = (isSecret: boolean) =>
    Object.fromEntries(Object.entries(checked).filter(([name]) => secret.has(name) === isSecret));
  const proof = pick(true);
  const wasSecret = Object.keys(proof).length > 0;
  return { url: parseUrl(url, limits), method: verb, headers: pick(false), credentials: proof, body, wasSecret };
}

/** @throws WeaverError `bad_input`. */
export function parseUrl(text: string, { urlBytes }: NetLimits, base?: URL): URL {
  if (byteLength(text) > urlBytes)
    throw badRequest(`The address is longer than ${urlBytes} bytes.`, 'Send less in it.');
  if (!URL.canParse(text, base?.href))
    throw badRequest('The address is none.', 'Use a whole one, such as https://api.example.com/items.');
  const url = new URL(text, base);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') {
    throw badRequest(`The address begins with ${JSON.stringify(url.protocol.slice(0, 30))}.`, 'Use https: or http:.');
  }
  if (url.username !== '' || url.password !== '') {
    throw badRequest('The address holds a user or a password.', 'Send them in a header.');
  }
  url.hash = '';
  // `example.com.` is the same host; one name for it, wherever it is compared.
  url.hostname = hostOf(url);
  return url;
}

const badRequest = (message: string, hint: string): WeaverError => new WeaverError('bad_input', message, { hint });
