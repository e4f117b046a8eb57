import type { Via } from '../contracts.ts';

/** One call, as it is counted. `code` is `done`, `asks`, `running` or an error code. Sizes are bytes of JSON. */
export interface CallEvent {
  id: string;
  at: number;
  tenant: string;
  tool: string;
  kind: string;
  version?: string | undefined;
  principal: string;
  via: Via;
  code: string;
  durationMs: number;
  bytesIn: number;
  bytesOut: number;
  /** Estimated tokens of what came back: a quarter of its bytes. */
  tokens: number;
  cost?: number;
  run?: string;
  parent?: string | undefined;
  search?: string | undefined;
}

/**
 * Takes call events. `record` returns at once and never throws: a sink that fails costs a log line, never a call.
 * `flush` writes what waits; `close` flushes and frees.
 */
export interface EventSink {
  readonly name: string;
  record(event: CallEvent): void;
  flush(): Promise<void>;
  close(): Promise<void>;
}
