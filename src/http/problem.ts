import type { IncomingMessage, ServerResponse } from 'node:http';
import { type ErrorCode, toWeaverError, type WeaverError } from '../errors.ts';

/** The HTTP status of each error (RFC 9110, section 15). */
export const httpStatus = {
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
  not_supported: 501,
  database_newer: 503,
  database_damaged: 503,
  database_unavailable: 503,
  internal: 500,
} as const satisfies Record<ErrorCode, number>;

/** An error as a problem document (RFC 9457, section 3). */
export function toProblem(error: WeaverError, status: number = httpStatus[error.code]): Record<string, unknown> {
  const { code, message, hint, details } = error.toJSON();
  return {
    type: `urn:toolweaver:error:${code}`,
    title: code,
    status,
    detail: message,
    ...(hint !== undefined && { hint }),
    ...(details !== undefined && { details }),
  };
}

/** Answers with a problem document, unless an answer has begun already. */
export function sendProblem(response: ServerResponse, thrown: unknown, status?: number): void {
  const error = toWeaverError(thrown);
  if (response.headersSent) return void response.end();
  const problem = toProblem(error, status);
  sendJson(response, Number(problem.status), problem, 'application/problem+json');
}

export function sendJson(response: ServerResponse, status: number, value: unknown, type = 'application/json'): void {
  response
    .writeHead(status, { 'content-type': type, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' })
    .end(JSON.stringify(value));
}

/** True for a body that says it is JSON (RFC 8259, or a type that ends with +json). */
export const isJsonBody = ({ headers }: IncomingMessage): boolean =>
  /^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i.test(headers['content-type'] ?? '');
