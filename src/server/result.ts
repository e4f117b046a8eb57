import type { CallToolResult } from '@modelcontextprotocol/server';
import type { Content, Finding, Outcome } from '../contracts.ts';
import type { ErrorCode, WeaverError } from '../errors.ts';
import { byteLength, isRecord } from '../json.ts';
import { maxModelBytes } from '../runs/page.ts';

/** How each error leaves as MCP: as a tool result with isError, which a model can read and mend, or as a protocol error. */
export const mcpAnswer = {
  unknown_tool: 'protocol',
  bad_input: 'result',
  bad_output: 'result',
  not_found: 'result',
  not_allowed: 'result',
  needs_person: 'result',
  not_approved: 'result',
  name_taken: 'result',
  check_failed: 'result',
  conflict: 'result',
  too_large: 'result',
  limit_exceeded: 'result',
  timed_out: 'result',
  cancelled: 'result',
  busy: 'result',
  unavailable: 'result',
  skill_failed: 'result',
  seal_broken: 'result',
  not_supported: 'result',
  database_newer: 'result',
  database_damaged: 'result',
  database_unavailable: 'result',
  internal: 'result',
} as const satisfies Record<ErrorCode, 'result' | 'protocol'>;

/** An outcome as a tool result (MCP, CallToolResult). */
export function toResult(outcome: Exclude<Outcome, { status: 'failed' }>): CallToolResult {
  if (outcome.status === 'done') return valueResult(outcome.value, outcome.attachments ?? []);
  if (outcome.status === 'running') return valueResult({ status: 'running', run_id: outcome.runId }, []);
  return valueResult({ status: 'asks', run_id: outcome.runId, question: outcome.question }, []);
}

function valueResult(value: unknown, attachments: Content[]): CallToolResult {
  const text = typeof value === 'string' ? value : JSON.stringify(value ?? null);
  return {
    content: [{ type: 'text', text }, ...attachments],
    // Both eras take an object here; other values stand in the text alone.
    ...(isRecord(value) && { structuredContent: value }),
  };
}

/** True when a value is over what should be poured into a model. */
export function isTooLarge(value: unknown): boolean {
  return byteLength(JSON.stringify(value) ?? '') > maxModelBytes;
}

/** An error as a tool result: `[code] message`, its findings, and what to do next. */
export function toErrorResult(error: WeaverError): CallToolResult {
  return {
    isError: true,
    content: [{ type: 'text', text: errorText(error) }],
    _meta: { 'toolweaver/error': error.toJSON() },
  };
}

/** The text of an error as a model or a person reads it. */
export function errorText({ code, message, hint, details }: WeaverError): string {
  const findings = Array.isArray(details?.findings) ? (details.findings as Finding[]) : [];
  return [
    `[${code}] ${message}`,
    ...findings.map(findingLine),
    ...(details?.preview === undefined ? [] : [`preview: ${String(details.preview)}`]),
    ...(hint === undefined ? [] : [`hint: ${hint}`]),
  ].join('\n');
}

/** `error code line 3: message → remedy`. */
export function findingLine({ severity, where, line, message, remedy }: Finding): string {
  return `- ${severity} in ${where}${line === undefined ? '' : ` line ${line}`}: ${message} → ${remedy}`;
}
