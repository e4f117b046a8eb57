import { randomUUID } from 'node:crypto';
import type { EventSink } from '../analytics/events.ts';
import type { CallRequest, Outcome } from '../contracts.ts';
import { isWithinDepth, jsonBytes, maxJsonDepth } from '../json.ts';
import type { Log } from '../log.ts';
import type { Tool } from './tool.ts';

interface EventParts {
  sink: Pick<EventSink, 'record'>;
  log: Log;
}

/** The one event of a call, begun when it came in. */
export interface PendingEvent {
  readonly callId: string;
  /** What was called, once it is found. */
  found?: { tool: Tool; request: CallRequest };
  /** Records the call's one event, at the first outcome, and gives that outcome back. */
  record(outcome: Outcome): Outcome;
}

/** Begins the event of a call; `record` sends it to the sink, and a sink that fails costs a log line. */
export function beginEvent(parts: EventParts, request: CallRequest): PendingEvent {
  const at = Date.now();
  const clock = performance.now();
  let isRecorded = false;
  return {
    callId: randomUUID(),
    record(outcome) {
      if (!isRecorded) record(parts, this, { request, outcome, at, durationMs: performance.now() - clock });
      isRecorded = true;
      return outcome;
    },
  };
}

interface Ended {
  request: CallRequest;
  outcome: Outcome;
  at: number;
  durationMs: number;
}

function record(
  { sink, log }: EventParts,
  { callId, found }: PendingEvent,
  { request, outcome, at, durationMs }: Ended,
): void {
  try {
    const bytesOut = outcome.status === 'done' ? jsonBytes(outcome.value) : 0;
    // A run that goes on with somebody's answer goes on as its own principal's.
    const { principal, via } = found?.request ?? request;
    sink.record({
      id: callId,
      at,
      tenant: principal.tenant,
      tool: found?.tool.name ?? request.tool.slice(0, 100),
      kind: found?.tool.kind ?? 'unknown',
      version: found?.tool.version,
      principal: principal.id,
      via,
      code: outcome.status === 'failed' ? outcome.error.code : outcome.status,
      durationMs,
      bytesIn: isWithinDepth(request.input, maxJsonDepth) ? jsonBytes(request.input) : 0,
      bytesOut,
      tokens: Math.ceil(bytesOut / 4),
      parent: request.caller?.callId,
      search: request.searchId,
    });
  } catch (error) {
    log.warn({ error }, 'a call event could not be recorded');
  }
}
