import type { CallToolResult } from '@modelcontextprotocol/server';
import { findingLine } from '../catalog/finding.ts';
import type { Content, Finding, Outcome } from '../contracts.ts';
import type { ErrorCode, WeaverError } from '../errors.ts';
import { byteLength, isRecord } from '../json.ts';
import { maxModelBytes } from '../runs/page.ts';

const shownFindings = 100;

/** How each error leaves as MCP: as a tool result with isError, which a model can read and mend, or as a protocol error. */
export const mcpAnswer = {
  unknown_tool: 'protocol',
  bad_input: 'result',
  bad_output: 'result',
  not_found: 'result',
  not_signed_in: 'result',
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
  secret_unreadable: 'result',
  not_supported: 'result',
  database_newer: 'result',
  database_damaged: 'result',
  database_unavailable: 'result',
  internal: 'result',
} as const satisfies Record<ErrorCode, 'result' | 'protocol'>;

/** An outcome as a tool result (MCP, CallToolResult). */
export function toResult(outcome: Exclude<Outcome, { status: 'failed' }>): CallToolResult {
  if (outcome.status === 'done') return valueResult(outcome.value, outcome.attachments ?? []);
  if (outcome.status === 'running')
    return valueResult(
      { status: 'running', run_id: outcome.runId, next: `get_run { "run_id": "${outcome.runId}" }` },
      [],
    );
  const { runId, question } = outcome;
  const next =
    question.for === 'person' || question.approvers
      ? `A person answers it in a terminal: toolweaver run answer ${runId} '{…}'`
      : `answer_run { "run_id": "${runId}", "question_id": "${question.id}", "answer": {…} }`;
  return valueResult({ status: 'asks', run_id: runId, question, next }, []);
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
    _meta: { 'toolweaver/error': shownJson(error) },
  };
}

// The same as the text, for programs, and no larger than any other result.
function shownJson(error: WeaverError): ReturnType<WeaverError['toJSON']> {
  const { details, ...said } = error.toJSON();
  if (!details) return said;
  const findings = findingsOf(error).slice(0, shownFindings);
  const shown = { ...said, details: { ...details, ...(findings.length > 0 && { findings }) } };
  return byteLength(JSON.stringify(shown)) > maxModelBytes ? said : shown;
}

/** The text of an error as a model or a person reads it. */
export function errorText(error: WeaverError): string {
  const { code, message, hint, details } = error;
  const findings = findingsOf(error);
  return [
    `[${code}] ${message}`,
    ...findings.slice(0, shownFindings).map(findingLine),
    ...(findings.length > shownFindings ? [`- and ${findings.length - shownFindings} more`] : []),
    ...(details?.preview === undefined ? [] : [`preview: ${String(details.preview)}`]),
    ...(hint === undefined ? [] : [`hint: ${hint}`]),
  ].join('\n');
}

const findingsOf = ({ details }: WeaverError): Finding[] =>
  Array.isArray(details?.findings) ? (details.findings as Finding[]) : [];
