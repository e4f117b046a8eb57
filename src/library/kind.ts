import type { Tool } from '../catalog/tool.ts';
import type { ToolSignature } from '../code/context-type.ts';
import type { Capabilities, Finding, JsonSchema, Lock, Principal, Reach, Risk } from '../contracts.ts';
import type { Engine, Limits } from '../sandbox/sandbox.ts';

export type KindName = 'skill' | 'workflow';

/**
 * All of a version that a reviewer is shown or that runs. Its canonical JSON is what the seal is made of; longer texts
 * stand in it by their sha256.
 */
export interface Manifest {
  kind: KindName;
  name: string;
  title: string;
  description: string;
  useWhen: string[];
  exampleRequests: string[];
  tags: string[];
  input: JsonSchema;
  output?: JsonSchema;
  language: 'javascript' | 'typescript' | 'python';
  engine: Engine;
  limits: Limits;
  capabilities: Capabilities;
  /** What it and its locked dependencies reach beside tools; absent where that is nothing. */
  reach?: Reach;
  /** What follows from that and from the tools that it calls. */
  risk: Risk;
  /** sha256 of the source as its author wrote it, of what runs, and of the examples' canonical JSON. */
  source: string;
  compiled: string;
  examples: string;
  lock: Lock;
  /** Findings that the author keeps, and why; absent where there are none. */
  overrides?: Override[];
}

/** A finding about a text that its author keeps, for a reason that is sealed and shown to the reviewer. */
export interface Override {
  rule: string;
  where: string;
  reason: string;
}

/** One example of a version: what goes in, what must come out, and what tools with risk answer while it is checked. */
export interface Example {
  input: unknown;
  output: unknown;
  stubs?: Record<string, unknown> | undefined;
}

export interface ExampleResult {
  passed: boolean;
  durationMs: number;
  /** What came out instead, or the error; absent when it passed. */
  got?: unknown;
}

/** A tool that the source names, with its place in it. */
export interface ToolUse {
  name: string;
  range?: string | undefined;
  line: number;
  column: number;
}

/** A draft as far as it can be judged without running it. */
export interface Inspected {
  /** Absent when the findings leave nothing to go on with. */
  manifest?: Omit<Manifest, 'lock' | 'capabilities' | 'reach' | 'risk'>;
  findings: Finding[];
  uses: ToolUse[];
  /** What the draft declares to reach by itself. */
  reach: Reach;
  /** The texts that the manifest names by hash; absent like the manifest. */
  texts?: { source: string; compiled: string; examples: string };
  examples: Example[];
}

/** What is needed to run a draft's examples. */
interface Provable {
  compiled: string;
  examples: Example[];
}

export interface Proof {
  /** The engine in which the examples passed, where it is not the one of the manifest. */
  engine?: Engine;
  results: ExampleResult[];
  findings: Finding[];
}

/** One kind of entry, as the library needs it. */
export interface EntryKind {
  /** Checks names, schemas and source, and compiles it. Runs nothing of it. */
  inspect(draft: unknown): Promise<Inspected>;
  /** Checks the types of a sound draft against its schemas and those of what it calls. Runs nothing of it. */
  checkTypes(manifest: Manifest, source: string, tools: ToolSignature[], signal: AbortSignal): Promise<Finding[]>;
  /** Runs the examples in the sandbox; code nobody has approved reaches nothing but tools without risk. */
  prove(manifest: Manifest, draft: Provable, principal: Principal, signal: AbortSignal): Promise<Proof>;
  /** The callable tool of a version. */
  toTool(tenant: string, version: string, manifest: Manifest, seal: string): Tool;
}

export type EntryKinds = Readonly<Partial<Record<KindName, EntryKind>>>;
