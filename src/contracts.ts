import type { WeaverError } from './errors.ts';

/** What a principal may do. Roles are sets of these (src/access/principals.ts). */
export type Scope = 'read' | 'call' | 'save' | 'approve' | 'operate' | 'admin';

export type PrincipalKind = 'person' | 'agent' | 'service';

/** Who asks. */
export interface Principal {
  readonly id: string;
  readonly tenant: string;
  readonly kind: PrincipalKind;
  readonly roles: readonly string[];
  readonly scopes: readonly Scope[];
  /** The tools that it may use, as names with `*`; all where absent. */
  readonly tools?: readonly string[];
  /** Came over the network: who answers its dialogs is a program that nobody here has chosen. */
  readonly isRemote?: true;
}

/** True for a person who may decide reviews; no agent and no service ever is one. */
export const isReviewer = (principal: Principal): boolean =>
  principal.kind === 'person' && principal.scopes.includes('approve');

/** The same principal without the right to approve: code never decides for a person, whoever calls it. */
export const withoutApproval = (principal: Principal): Principal =>
  principal.scopes.includes('approve')
    ? { ...principal, scopes: principal.scopes.filter((scope) => scope !== 'approve') }
    : principal;

/** The protocol or part that a call came in by. */
export type Via = 'mcp' | 'a2a' | 'cli' | 'web' | 'workflow' | 'skill' | 'code' | 'system';

/** How far a call has come; `total` is absent when nobody knows. */
export interface Progress {
  done: number;
  total?: number;
  message?: string;
}

/** What stands beside a value: images, files, links, as in MCP content blocks. */
export type Content =
  | { type: 'image' | 'audio'; data: string; mimeType: string }
  | { type: 'resource_link'; uri: string; name: string; mimeType?: string };

/** Exact versions of what an entry uses: name → version and seal. */
export type Lock = Readonly<Record<string, { version: string; seal: string }>>;

/** A host that code may send requests to. An allowed host is itself an exit: whatever the code knows can go there. */
export interface NetCapability {
  /** In small letters, as DNS has it: a name, `*.example.com` (its sub-domains, not itself), an address, or `*` for any. */
  host: string;
  /** In capitals and sorted; any where absent. */
  methods?: string[];
  /** Sorted; the default port of http or https where absent. */
  ports?: number[];
}

/** A secret that the host process may fill in for code: only for this host, in this header (small letters), over https. */
export interface SecretCapability {
  name: string;
  /** One host, never a pattern; with its port where that is not 443. */
  host: string;
  header: string;
}

/** A tool that code may call, by name and semver range (`*` for a built-in). */
export interface ToolCapability {
  name: string;
  range: string;
}

/** Everything that code may reach. Environment variables are never among it. */
export interface Capabilities {
  net: NetCapability[];
  secrets: SecretCapability[];
  tools: ToolCapability[];
  files: 'none' | 'read' | 'write';
}

/** What code may reach beside tools. */
export type Reach = Pick<Capabilities, 'net' | 'secrets' | 'files'>;

/** What a version can reach, its locked dependencies included; the later the riskier. */
export const risks = ['none', 'reads', 'writes', 'secrets', 'open_network'] as const;
export type Risk = (typeof risks)[number];

/** One remark of a check: which rule, where, what is wrong and what to do. `line` counts from 1 in the author's source. */
export interface Finding {
  rule: string;
  severity: 'error' | 'warning';
  /** The field (`input_schema.properties.a`) or `code`. */
  where: string;
  line?: number;
  column?: number;
  message: string;
  remedy: string;
  /** Why its author keeps it all the same; a person is shown the reason. */
  override?: string;
}

/** A JSON Schema 2020-12 document. */
export type JsonSchema = { readonly [keyword: string]: unknown };

/** A flat form that elicitation can carry: text, number, boolean, choice (MCP 2025-11-25, elicitation). */
export interface FlatSchema {
  type: 'object';
  properties: Record<string, { type: 'string' | 'number' | 'integer' | 'boolean'; [keyword: string]: unknown }>;
  required?: string[];
}

/** A run that waits for somebody's answer. `expiresAt` is in milliseconds since 1970. */
export interface Question {
  id: string;
  message: string;
  form: FlatSchema;
  for: 'person' | 'anyone';
  approvers?: string[];
  expiresAt: number;
}

/** What somebody answered, who, how and when. */
export interface Answer {
  questionId: string;
  value: Record<string, string | number | boolean>;
  by: Principal;
  how: 'elicitation' | 'cli' | 'web' | 'a2a' | 'tool';
  at: number;
}

/** The call that a nested call comes from, with what its seal grants. */
export interface Caller {
  callId: string;
  depth: number;
  lock?: Lock;
  capabilities?: Capabilities;
  /** Of code that runs once: it has its principal's rights, and these are the tools that it may use beyond reading. */
  named?: readonly string[];
}

/** One request on the one road. Times are in milliseconds since 1970. */
export interface CallRequest {
  /** A name, or `name@range`. */
  tool: string;
  version?: string;
  input: unknown;
  principal: Principal;
  via: Via;
  signal: AbortSignal;
  deadlineAt?: number;
  progress?: (progress: Progress) => void;
  /** A skill's nested call has what its seal grants, not what the principal has. */
  caller?: Caller;
  idempotencyKey?: string;
  searchId?: string;
  /** 0 goes on in the background at once, absent never. After the hand-over `signal` no longer ends the run. */
  backgroundAfterMs?: number;
  /** Goes on with a kept run: with an answer after a question, with the lease by which it was taken over after a crash. */
  resume?: { runId: string; answer?: Answer; lease?: string };
}

/** What came of a call. */
export type Outcome =
  | { status: 'done'; value: unknown; attachments?: Content[] }
  | { status: 'failed'; error: WeaverError }
  | { status: 'asks'; question: Question; runId: string }
  | { status: 'running'; runId: string };
