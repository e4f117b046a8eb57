import type { IncomingMessage, ServerResponse } from 'node:http';
import { type ErrorCode, WeaverError } from '../errors.ts';

/** How much more than what it takes the server reads of a body, only to throw it away. */
export const maxDiscardedBytes = 16 * 2 ** 20;

/** The HTTP status of each error (RFC 9110, section 15). */
const httpStatus = {
  bad_input: 400,
  bad_output: 502,
  unknown_tool: 404,
  not_found: 404,
  not_signed_in: 401,
  not_allowed: 403,
  needs_person: 403,
  not_approved: 409,
  name_taken: 409,
  check_failed: 422,
  conflict: 409,
  too_large: 413,
  limit_exceeded: 422,
  timed_out: 504,
  cancelled: 499,
  busy: 503,
  unavailable: 503,
  skill_failed: 422,
  seal_broken: 409,
  secret_unreadable: 503,
  not_supported: 501,
  database_newer: 503,
  database_damaged: 503,
  database_unavailable: 503,
  internal: 500,
} as const satisfies Record<ErrorCode, number>;

// What HTTP says by a status of its own (RFC 9110, sections 15.5.6, 15.5.16 and 15.5.21): the last for what the schema of a
// tool cannot say of its input.
const statusOfReason: ReadonlyMap<unknown, number> = new Map([
  ['method', 405],
  ['media_type', 415],
  ['incomplete', 422],
]);

/** The status that an error leaves with. */
export const statusOf = ({ code, details }: WeaverError): number =>
  (code === 'bad_input' ? statusOfReason.get(details?.reason) : undefined) ?? httpStatus[code];

/** The error for a method that an address does not take; it leaves with the status 405 and the header Allow. */
export const wrongMethod = (allow: readonly string[]): WeaverError =>
  new WeaverError('bad_input', `This address takes ${allow.join(', ')}.`, {
    hint: 'GET /v1/openapi.json describes the JSON API; MCP is at /mcp.',
    details: { reason: 'method', allow },
  });

/** An error as a problem document (RFC 9457, section 3). */
function toProblem(error: WeaverError): Record<string, unknown> {
  const { code, message, hint, details } = error.toJSON();
  return {
    type: `urn:toolweaver:error:${code}`,
    title: code,
    status: statusOf(error),
    detail: message,
    ...(hint !== undefined && { hint }),
    ...(details !== undefined && { details }),
  };
}

/** Answers with a problem document, unless an answer has begun already. */
export function sendProblem(response: ServerResponse, error: WeaverError): void {
  if (response.headersSent) return void response.end();
  setRefusalHeaders(response, error);
  sendJson(response, statusOf(error), toProblem(error), 'application/problem+json');
}

/** Sets what a refusal says in its headers, whatever its body is. */
export function setRefusalHeaders(response: ServerResponse, { details }: WeaverError): void {
  if (details?.reason === 'method' && Array.isArray(details.allow))
    response.setHeader('allow', details.allow.join(', '));
  if (isLeftUnread(response.req)) response.setHeader('connection', 'close');
}

// What is left of a body is read and thrown away, so that the client, which may send first and read later, gets its
// answer; but not what goes on and on.
function isLeftUnread({ complete, headers }: IncomingMessage): boolean {
  const declared = Number(headers['content-length'] ?? Number.POSITIVE_INFINITY);
  return !complete && declared > maxDiscardedBytes;
}

export function sendJson(response: ServerResponse, status: number, value: unknown, type = 'application/json'): void {
  response
    .writeHead(status, { 'content-type': type, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' })
    .end(JSON.stringify(value));
}

/** True for a body that says it is JSON (RFC 8259, or a type that ends with +json). */
export const isJsonBody = ({ headers }: IncomingMessage): boolean =>
  /^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i.test(headers['content-type'] ?? '');
