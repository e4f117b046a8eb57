import type { NodePath, Scope, Visitor } from '@babel/traverse';
import type { Node } from '@babel/types';
import type { Finding } from '../contracts.ts';
import { placeOf } from './place.ts';
import type { ProgramView } from './program.ts';

/**
 * Checks what every program must be: one exported function, nothing imported, no name that the sandbox does not have.
 * Source that makes code at run time is a warning for the reviewer.
 */
export function checkProgram({ root, entry }: ProgramView): Finding[] {
  const findings: Finding[] = [];
  if (!entry) findings.push(noEntry);
  if (entry?.node.generator) findings.push(found(entry.node, 'generator', 'run is a generator', 'Return one value.'));
  const names: Names = { used: new Map(), known: new Set() };
  root.traverse({
    ...importVisitor(findings),
    ...madeCodeVisitor(findings),
    ...typeVisitor(names),
    ...nameVisitor(names),
  });
  const unknown = [...names.used].filter(([name]) => !names.known.has(name));
  return [...findings, ...unknown.map(([name, node]) => unknownName(node, name))];
}

/** Names that nothing declares as far as the parser's scopes go, each with its first place, and those that are fine all the same. */
interface Names {
  used: Map<string, Node>;
  known: Set<string>;
}

const importVisitor = (findings: Finding[]): Visitor => ({
  ImportDeclaration({ node }) {
    if (node.importKind !== 'type') findings.push(noImport(node));
  },
  ExportAllDeclaration: ({ node }) => void findings.push(noImport(node)),
  ExportNamedDeclaration({ node }) {
    if (node.source && node.exportKind !== 'type') findings.push(noImport(node));
  },
  Import: ({ node }) => void findings.push(noImport(node)),
  TSImportEqualsDeclaration: ({ node }) => void findings.push(noImport(node)),
});

const madeCodeVisitor = (findings: Finding[]): Visitor => ({
  CallExpression({ node: { callee }, scope }) {
    if (makesCode(callee, scope)) findings.push(madeCode(callee));
  },
  NewExpression({ node: { callee }, scope }) {
    if (makesCode(callee, scope)) findings.push(madeCode(callee));
  },
});

const codeMakers: readonly string[] = ['eval', 'Function'];

const makesCode = (node: Node, scope: Scope): boolean =>
  node.type === 'Identifier' && codeMakers.includes(node.name) && !scope.hasBinding(node.name, true);

// Types are gone before the code runs, and what else only TypeScript has is not in the parser's scopes.
const typeVisitor = ({ known }: Names): Visitor => ({
  TSType: (path) => path.skip(),
  TSTypeAnnotation: (path) => path.skip(),
  TSTypeParameterInstantiation: (path) => path.skip(),
  TSInterfaceDeclaration: (path) => path.skip(),
  TSTypeAliasDeclaration: (path) => path.skip(),
  TSDeclareFunction: (path) => path.skip(),
  TSDeclareMethod: (path) => path.skip(),
  TSIndexSignature: (path) => path.skip(),
  TSEnumDeclaration: ({ node }) => void known.add(node.id.name),
  TSEnumMember({ node: { id } }) {
    if (id.type === 'Identifier') known.add(id.name);
  },
  TSModuleDeclaration(path) {
    if (path.node.id.type === 'Identifier') known.add(path.node.id.name);
    if (path.node.declare) path.skip();
  },
  TSParameterProperty({ node: { parameter } }) {
    const target = parameter.type === 'AssignmentPattern' ? parameter.left : parameter;
    if (target.type === 'Identifier') known.add(target.name);
  },
});

const nameVisitor = ({ used, known }: Names): Visitor => ({
  UnaryExpression({ node }) {
    // Who asks whether a name is there can do without it.
    if (node.operator === 'typeof' && node.argument.type === 'Identifier') known.add(node.argument.name);
  },
  ReferencedIdentifier(path: NodePath) {
    if (!path.isIdentifier()) return;
    const { name } = path.node;
    if (!path.scope.hasBinding(name, true) && !available.has(name) && !used.has(name)) used.set(name, path.node);
  },
});

const noEntry: Finding = {
  rule: 'no_default_export',
  severity: 'error',
  where: 'code',
  message: 'no function is exported as the default',
  remedy: 'Write: export default async function run(input, ctx) { … return output; }',
};

const noImport = (node: Node): Finding =>
  found(
    node,
    'import',
    'nothing can be imported',
    'Write the few lines that you need, or call a saved skill: ctx.tools.<name>(input).',
  );

const madeCode = (node: Node): Finding => ({
  ...found(node, 'made_code', 'code is made from text at run time, which no reviewer can read', 'Write the code out.'),
  severity: 'warning',
});

function unknownName(node: Node, name: string): Finding {
  if (denoNames.has(name)) {
    const remedy = remedies.get(name) ?? 'Do without it.';
    return found(node, needsDeno, `${name} is not part of the default engine`, remedy);
  }
  const remedy = remedies.get(name) ?? `Declare ${name}, or take it as input.`;
  return found(node, 'unknown_name', `${name} is neither declared nor part of the sandbox`, remedy);
}

function found(node: Node, rule: string, message: string, remedy: string): Finding {
  const place = placeOf(node);
  return { rule, severity: 'error', where: 'code', ...place, message: `line ${place.line}: ${message}`, remedy };
}

const names = (text: string): string[] => text.split(' ');

/** The global names of the sandbox: those of ECMAScript, and what src/sandbox/boot.ts adds. */
const available: ReadonlySet<string> = new Set([
  ...names('undefined NaN Infinity globalThis arguments eval isNaN isFinite parseInt parseFloat escape unescape'),
  ...names('encodeURI encodeURIComponent decodeURI decodeURIComponent queueMicrotask btoa atob console ToolError'),
  ...names(
    'Object Function Array Number Boolean String Symbol BigInt Math JSON Reflect Proxy Promise Date RegExp Iterator',
  ),
  ...names('Map Set WeakMap WeakSet WeakRef FinalizationRegistry DisposableStack AsyncDisposableStack DOMException'),
  ...names(
    'Error EvalError RangeError ReferenceError SyntaxError TypeError URIError InternalError AggregateError SuppressedError',
  ),
  ...names(
    'ArrayBuffer SharedArrayBuffer DataView Int8Array Uint8Array Uint8ClampedArray Int16Array Uint16Array Int32Array',
  ),
  ...names('Uint32Array Float16Array Float32Array Float64Array BigInt64Array BigUint64Array'),
]);

/** The rule of findings about names that only the engine deno has. */
export const needsDeno = 'needs_deno';

/** Names of the engine deno beside those of the language: without power, and without clock and chance of their own. */
export const denoNames: ReadonlySet<string> = new Set([
  ...names('URL URLSearchParams URLPattern TextEncoder TextDecoder TextEncoderStream TextDecoderStream Intl'),
  ...names('setTimeout setInterval clearTimeout clearInterval structuredClone AbortController AbortSignal'),
  ...names('Blob FormData Headers Request Response ReadableStream WritableStream TransformStream'),
  ...names('CompressionStream DecompressionStream Event EventTarget MessageChannel WebAssembly'),
]);

const noTimers = 'There are no timers; await what you wait for.';
const noNetwork = 'Code has no network of its own; use ctx.fetch.';
const noProcess = 'Code has no process, files or environment; take what it needs as input.';

const remedies: ReadonlyMap<string, string> = new Map([
  ...names('setTimeout setInterval setImmediate clearTimeout clearInterval clearImmediate').map(
    (name) => [name, noTimers] as const,
  ),
  [
    'fetch',
    'Use ctx.fetch(url, { method, headers, body }), and declare its host: capabilities: { net: ["api.example.com"] }.',
  ],
  ...names('XMLHttpRequest WebSocket EventSource').map((name) => [name, noNetwork] as const),
  ...names('process Buffer require module exports __dirname __filename Deno Bun').map(
    (name) => [name, noProcess] as const,
  ),
  ['ctx', 'Take it as the second parameter: run(input, ctx).'],
  ['input', 'Take it as the first parameter: run(input, ctx).'],
  ['performance', 'Code has no clock of its own; ctx.now() is the time of the call.'],
  ['Intl', 'There is no Intl; format by hand.'],
  ['URL', 'There is no URL class; take addresses apart as text.'],
  ['structuredClone', 'Copy JSON data with JSON.parse(JSON.stringify(value)).'],
]);
