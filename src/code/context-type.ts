import type { JsonSchema, Reach } from '../contracts.ts';
import { keyText, typeOfSchema } from './schema-type.ts';

/** A tool as code may call it. */
export interface ToolSignature {
  name: string;
  input: JsonSchema;
  output?: JsonSchema | undefined;
}

/** What a program is checked against. */
export interface ProgramTypes {
  input: JsonSchema;
  output?: JsonSchema | undefined;
  tools: readonly ToolSignature[];
  /** More names that the engine has; of any type. */
  names?: readonly string[] | undefined;
  reach: Reach;
}

const fetchType = `fetch(url: string, options?: {
    method?: string; headers?: Record<string, string>; body?: string | Uint8Array | ArrayBuffer | null;
  }): Promise<{
    readonly ok: boolean; readonly status: number; readonly statusText: string; readonly url: string;
    readonly headers: Readonly<Record<string, string>>;
    text(): Promise<string>; json(): Promise<any>; bytes(): Promise<Uint8Array>;
  }>;`;
const range = 'range?: { offset?: number; length?: number }';
const readType = `read(path: string, ${range}): Promise<string>; readBytes(path: string, ${range}): Promise<Uint8Array>;
    list(folder?: string): Promise<{ path: string; size: number }[]>;`;
const data = 'data: string | Uint8Array | ArrayBuffer';
const writeType = `write(path: string, ${data}): Promise<void>; append(path: string, ${data}): Promise<void>;
    remove(path: string): Promise<boolean>;`;

/** The type of `ctx` with the tools that a program may call and what it declares. */
export function contextType({ tools, reach: { net, files } }: Pick<ProgramTypes, 'tools' | 'reach'>): string {
  const members = [
    `readonly tools: ${toolsType(tools)};`,
    callType(tools),
    ...(net.length > 0 ? [fetchType] : []),
    ...(files === 'none' ? [] : [`readonly files: { ${readType}${files === 'write' ? ` ${writeType}` : ''} };`]),
    'progress(done: number, total?: number, message?: string): void;',
    'log(...values: unknown[]): void;',
    'now(): number;',
    'random(): number;',
  ];
  return `interface Context {\n  ${members.join('\n  ')}\n}`;
}

/** `name(input: …): Promise<…>`, as a member of `ctx.tools`. */
export const toolMember = ({ name, input, output }: ToolSignature): string =>
  `${keyText(name)}${parameters(input)}: ${answer(output)}`;

const toolsType = (tools: readonly ToolSignature[]): string => `{ ${tools.map(toolMember).join('; ')} }`;

// One signature for all, since a list of them would make every fault a fault of the last.
function callType(tools: readonly ToolSignature[]): string {
  if (tools.length === 0) return 'call(name: never): Promise<never>;';
  const named = `K extends keyof Context['tools'] & string`;
  const given = `...input: Parameters<Context['tools'][K]>`;
  return `call<${named}>(name: K | \`\${K}@\${string}\`, ${given}): ReturnType<Context['tools'][K]>;`;
}

const answer = (output: JsonSchema | undefined): string =>
  `Promise<${output === undefined ? 'any' : typeOfSchema(output, 'read')}>`;

// What a tool needs nothing for may be called without an input.
const isNeeded = ({ required }: JsonSchema): boolean => Array.isArray(required) && required.length > 0;

const parameters = (input: JsonSchema): string =>
  `(input${isNeeded(input) ? '' : '?'}: ${typeOfSchema(input, 'written')})`;

/** The types of one tool in three lines, for who writes code that calls it. */
export function describeTypes({ name, input, output }: ToolSignature): string {
  return [
    `type Input = ${typeOfSchema(input, 'read')};`,
    `type Output = ${output === undefined ? 'any' : typeOfSchema(output, 'read')};`,
    `declare const ctx: { tools: { ${keyText(name)}(input${isNeeded(input) ? '' : '?'}: Input): Promise<Output> } };`,
  ].join('\n');
}

const globals = `declare const console: Record<'log' | 'info' | 'warn' | 'error' | 'debug', (...values: unknown[]) => void>;
declare class ToolError extends Error { constructor(tool: string, code: string, message: string); readonly tool: string; readonly code: string }
declare const InternalError: ErrorConstructor;
declare const DOMException: new (message?: string, name?: string) => Error;
declare function atob(text: string): string;
declare function btoa(text: string): string;
declare function queueMicrotask(work: () => void): void;
`;

/** All that a program finds around it, as declarations: `Input`, `Output`, `Context`, and the names of the sandbox. */
export function declarations(types: ProgramTypes): string {
  return [
    globals,
    ...(types.names ?? [])
      .filter((name) => name !== 'Intl')
      .map((name) => `declare const ${name}: any; type ${name} = any;`),
    `type Input = ${typeOfSchema(types.input, 'read')};`,
    `type Output = ${types.output === undefined ? 'unknown' : typeOfSchema(types.output, 'written')};`,
    contextType(types),
    'type ToolWeaverInput = Input;',
    'type ToolWeaverContext = Context;',
    'type ToolWeaverAnswer = Output | Promise<Output>;',
    'type ToolWeaverPromise = Promise<Output>;',
    'type ToolWeaverRun = (input: Input, ctx: Context) => ToolWeaverAnswer;',
    '',
  ].join('\n');
}
