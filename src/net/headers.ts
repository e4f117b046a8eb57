import { WeaverError } from '../errors.ts';

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}$/;
// No controls, so no CR and LF that would begin a header of their own, and nothing that is sent as other bytes.
const sendable = /^[\t\x20-\x7e\u00a0-\u00ff]*$/;

// Where a message ends, where it goes and how the connection is used is the client's business (RFC 9110 7.6.1, 9112 6).
const ours = new Set([
  ...['host', 'content-length', 'transfer-encoding', 'connection', 'keep-alive', 'te', 'trailer', 'upgrade', 'expect'],
  ...['proxy-authorization', 'proxy-authenticate', 'proxy-connection', 'http2-settings', 'via', 'forwarded'],
]);

/** Headers by their names in lower case. */
export type Headers = Readonly<Record<string, string>>;

interface HeaderLimits {
  headerCount: number;
  headerBytes: number;
}

/**
 * The headers of a request by their names in lower case. Values never stand in an error: they may be secret.
 * @throws WeaverError `bad_input` for what could smuggle a second request or another host, and over a limit.
 */
export function checkHeaders(given: Readonly<Record<string, string>>, limits: HeaderLimits): Record<string, string> {
  const entries = Object.entries(given);
  if (entries.length > limits.headerCount)
    throw refuse(`There are ${entries.length} headers; at most ${limits.headerCount} are sent.`);
  const headers = new Map<string, string>();
  for (const [given, value] of entries) {
    const name = given.toLowerCase();
    const problem = problemOf(name, value) ?? (headers.has(name) ? 'is there twice' : undefined);
    if (problem) throw refuse(`The header ${JSON.stringify(given.slice(0, 100))} ${problem}.`);
    headers.set(name, value);
  }
  const bytes = [...headers].reduce((sum, [name, value]) => sum + name.length + value.length + 4, 0);
  if (bytes > limits.headerBytes)
    throw refuse(`The headers have ${bytes} bytes; at most ${limits.headerBytes} are sent.`);
  return Object.fromEntries(headers);
}

function problemOf(name: string, value: unknown): string | undefined {
  if (!token.test(name)) return 'has a name that no header can have';
  if (ours.has(name)) return 'is set by ToolWeaver itself';
  if (typeof value !== 'string') return 'has a value that is no text';
  return sendable.test(value) ? undefined : 'has a value with a line break, a control or a letter outside of Latin-1';
}

const refuse = (message: string): WeaverError =>
  new WeaverError('bad_input', message, {
    hint: 'Send each header once, by its plain name, with a value of one line.',
  });

/** Headers of an answer, each once; what came several times is joined by a comma. */
export const joinHeaders = (headers: Readonly<Record<string, string | string[] | undefined>>): Headers =>
  Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, Array.isArray(value) ? value.join(', ') : value]],
    ),
  );
