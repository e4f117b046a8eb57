import type {
  CallRequest,
  Capabilities,
  JsonSchema,
  Lock,
  Outcome,
  Progress,
  Reach,
  Risk,
  Scope,
} from '../contracts.ts';

export type ToolKind = 'builtin' | 'skill' | 'workflow' | 'upstream' | 'agent';

/** MCP's hints about a tool (MCP 2025-11-25, ToolAnnotations), derived from what it can reach, never asserted. */
export interface ToolAnnotations {
  readOnlyHint: boolean;
  destructiveHint: boolean;
  idempotentHint: boolean;
  openWorldHint: boolean;
}

/** What a running tool is given. */
export interface ToolContext {
  request: CallRequest;
  callId: string;
  runId: string;
  /** Fires when the caller cancels or the deadline passes, and when the call has ended. */
  signal: AbortSignal;
  progress(progress: Progress): void;
  /** Calls another tool on the same road, with what this tool's seal grants. */
  call(tool: string, input: unknown): Promise<Outcome>;
}

/** Anything callable, whatever is behind it. */
export interface Tool {
  readonly name: string;
  readonly kind: ToolKind;
  readonly title: string;
  readonly description: string;
  readonly input: JsonSchema;
  readonly output?: JsonSchema;
  readonly annotations: ToolAnnotations;
  readonly version?: string;
  /** The scope that a principal needs to call it. */
  readonly needs: Scope;
  readonly risk: Risk;
  /** Of saved entries: what their nested calls may reach, and the seal that says so. */
  readonly seal?: string;
  readonly lock?: Lock;
  readonly capabilities?: Capabilities;
  /** What it and all that it calls reach beside tools; absent where that is nothing. */
  readonly reach?: Reach;
  /** Only of tools that hand their call to another (`call_tool`): which one, and whether it must be read-only. */
  forward?(input: unknown): { tool: string; version?: string; input: unknown; onlyReading: boolean };
  /** Only of the tool that answers a run (`answer_run`): the run that goes on, and with which answer. */
  answers?(input: unknown, request: CallRequest): NonNullable<CallRequest['resume']>;
  /** Only of the tool that runs code once (`run_code`): the tools that the code may use beyond reading. */
  named?(input: unknown): readonly string[];
  /** More words that search may find it by. */
  readonly words?: { useWhen: string[]; exampleRequests: string[]; tags: string[]; code?: string };
  /** May throw a WeaverError, which becomes a failed outcome. */
  run(input: unknown, ctx: ToolContext): Promise<Outcome>;
}

/** The hints that follow from a risk and a reach. */
export function annotationsOf(risk: Risk, reach?: Reach): ToolAnnotations {
  const isReadOnly = risk === 'none' || risk === 'reads';
  return {
    readOnlyHint: isReadOnly,
    destructiveHint: !isReadOnly,
    idempotentHint: isReadOnly,
    openWorldHint: risk === 'open_network' || risk === 'secrets' || (reach?.net.length ?? 0) > 0,
  };
}

export const done = (value: unknown): Outcome => ({ status: 'done', value });

/** True for a tool that may be run again when nobody knows whether it ran: it only reads, or twice is as once. */
export const isRepeatable = ({ annotations }: Pick<Tool, 'annotations'>): boolean =>
  annotations.readOnlyHint || annotations.idempotentHint;
