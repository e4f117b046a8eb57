import { toWeaverError, WeaverError } from '../errors.ts';

/** What undici, Node or a stream failed with, as an error that names the host and says what to do next. */
export function toNetError(host: string, thrown: unknown): WeaverError {
  // Of several addresses each has failed in its own way; the first says enough.
  const cause = thrown instanceof AggregateError ? thrown.errors[0] : thrown;
  if (cause instanceof WeaverError) return cause;
  const { code, name } = (cause ?? {}) as { code?: unknown; name?: unknown };
  const kind = String(code ?? name);
  const known = Object.entries(meanings).find(([start]) => kind.startsWith(start))?.[1];
  // A fault of our own, which is not the server's.
  if (!known && code === undefined) return toWeaverError(thrown);
  const { error = 'unavailable', what, hint = 'Try again later.', details } = known ?? { what: 'broke the connection' };
  return new WeaverError(error, `${host} ${what}.`, { hint, cause: thrown, ...(details && { details }) });
}

interface Meaning {
  error?: 'unavailable' | 'timed_out' | 'limit_exceeded' | 'busy';
  what: string;
  hint?: string;
  details?: Record<string, unknown>;
}

const spelling = 'Check how the host is spelled, or try again later.';
const protocol = 'Its answer is not HTTP/1.1 as it should be; whoever runs it must mend that.';

// By how the code begins, or the name of an error without one.
const meanings: Readonly<Record<string, Meaning>> = {
  ENOTFOUND: { what: 'is not known to the name server', hint: spelling },
  EAI_AGAIN: { what: 'could not be looked up', hint: 'The name server does not answer; try again later.' },
  ECONNREFUSED: { what: 'takes no connections at that port' },
  EHOSTUNREACH: { what: 'cannot be reached from here' },
  ENETUNREACH: { what: 'cannot be reached from here' },
  UND_ERR_CONNECT_TIMEOUT: { error: 'timed_out', what: 'took no connection in time' },
  ETIMEDOUT: { error: 'timed_out', what: 'took no connection in time' },
  UND_ERR_HEADERS_TIMEOUT: { error: 'timed_out', what: 'did not begin to answer in time' },
  UND_ERR_BODY_TIMEOUT: { error: 'timed_out', what: 'stopped in the middle of its answer' },
  UND_ERR_HEADERS_OVERFLOW: {
    error: 'limit_exceeded',
    what: 'sent headers that are too large',
    details: { limit: 'response_header_bytes' },
  },
  UND_ERR_MAX_ORIGINS_REACHED: { error: 'busy', what: 'is one server too many at a time' },
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: { what: 'sent another length than it had announced', hint: protocol },
  HTTPParserError: { what: 'sent what is not HTTP', hint: protocol },
  Z_: { what: 'sent a body that cannot be unpacked', hint: protocol },
  ERR__ERROR_FORMAT: { what: 'sent a body that cannot be unpacked', hint: protocol },
  CERT_: { what: 'has a certificate that is not valid', hint: 'Nothing was sent. Whoever runs it must renew it.' },
  ERR_TLS_CERT: { what: 'has a certificate of another host', hint: 'Nothing was sent.' },
  DEPTH_ZERO: {
    what: 'has a certificate that nobody here trusts',
    hint: 'Set NODE_EXTRA_CA_CERTS to the file of its authority.',
  },
  SELF_SIGNED: {
    what: 'has a certificate that nobody here trusts',
    hint: 'Set NODE_EXTRA_CA_CERTS to the file of its authority.',
  },
  UNABLE_TO: {
    what: 'has a certificate that nobody here trusts',
    hint: 'Set NODE_EXTRA_CA_CERTS to the file of its authority.',
  },
};
