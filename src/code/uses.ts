import type { NodePath } from '@babel/traverse';
import type { Function as FunctionNode, LVal, Node, ObjectPattern } from '@babel/types';
import type { Finding } from '../contracts.ts';
import { type Request, readRequest } from './fetch-use.ts';
import { literalText, staticName } from './literals.ts';
import { type Place, placeOf } from './place.ts';
import { functionOf, isTypeWrapper, type ProgramView } from './program.ts';
import { findSecrets, type NamedSecret } from './secret-use.ts';

/** A tool that a source names, with its place. */
export interface NamedTool extends Place {
  name: string;
  range?: string;
}

/** All that a source reaches for, each with its place. */
export interface Uses {
  tools: NamedTool[];
  requests: (Request & Place)[];
  files: (Place & { access: 'read' | 'write' })[];
  secrets: NamedSecret[];
}

/** What an expression stands for: ctx itself, one of its members, one tool, or one function of `ctx.files`. */
type Meaning = 'ctx' | 'tools' | 'call' | 'fetch' | 'files' | { tool: string } | { file: string };

interface Search {
  uses: Map<string, NamedTool>;
  requests: Uses['requests'];
  files: Uses['files'];
  findings: Finding[];
  /** What places were followed as already: code may call itself. */
  seen: WeakMap<Node, Set<string>>;
}

/**
 * Finds all that a program can reach: `ctx.tools.name(…)`, `ctx.call('name@range', …)`, `ctx.fetch(…)` and `ctx.files`,
 * through aliases, destructuring and the program's own functions, and the secrets that its texts name. What cannot be
 * followed is an error, since only what the source names is granted.
 */
export function findUses({ root, entry }: ProgramView): { uses: Uses; findings: Finding[] } {
  const search: Search = { uses: new Map(), requests: [], files: [], findings: [], seen: new WeakMap() };
  if (entry) followParameter(search, entry, 1, 'ctx');
  const tools = [...search.uses.values()];
  const { secrets, findings } = findSecrets(root);
  const { requests, files } = search;
  return {
    uses: { tools, requests, files, secrets },
    findings: [...search.findings, ...oneRangeEach(tools), ...findings],
  };
}

function followParameter(search: Search, fn: NodePath<FunctionNode>, index: number, meaning: Meaning): void {
  const parameter = fn.get('params')[index] as NodePath<LVal> | undefined;
  if (parameter && isNew(search, parameter.node, meaning)) followTarget(search, parameter, meaning);
}

/** True at the first time that this place is followed with this meaning. */
function isNew({ seen }: Search, node: Node, meaning: Meaning): boolean {
  const key = JSON.stringify(meaning);
  const before = seen.get(node);
  if (before?.has(key)) return false;
  seen.set(node, (before ?? new Set()).add(key));
  return true;
}

/** Follows what is written to: a name, a pattern, a parameter with a default. */
function followTarget(search: Search, target: NodePath, meaning: Meaning): void {
  if (target.isAssignmentPattern()) return followTarget(search, target.get('left'), meaning);
  if (target.isObjectPattern()) return followPattern(search, target, meaning);
  if (!target.isIdentifier()) return cannotFollow(search, target, meaning);
  const binding = target.scope.getBinding(target.node.name);
  for (const reference of binding?.referencePaths ?? []) follow(search, reference, meaning);
}

function followPattern(search: Search, pattern: NodePath<ObjectPattern>, meaning: Meaning): void {
  for (const property of pattern.get('properties')) {
    if (property.isRestElement()) {
      cannotFollow(search, property, meaning);
      continue;
    }
    if (!property.isObjectProperty()) continue;
    const name = staticName(property.get('key') as NodePath, property.node.computed);
    const member = memberOf(search, property, meaning, name);
    if (member) followTarget(search, property.get('value') as NodePath, member);
    if (member) addMember(search, property.node, member);
  }
}

/** Follows one place where the meaning is read. */
function follow(search: Search, path: NodePath, meaning: Meaning): void {
  if (!isNew(search, path.node, meaning)) return;
  addMember(search, path.node, meaning);
  const parent = path.parentPath;
  if (!parent || isHarmless(parent, path)) return;
  if (isTransparent(parent, path)) return follow(search, parent, meaning);
  if ((parent.isMemberExpression() || parent.isOptionalMemberExpression()) && path.key === 'object') {
    const name = staticName(parent.get('property') as NodePath, parent.node.computed);
    const member = memberOf(search, parent, meaning, name);
    return member === undefined ? undefined : follow(search, parent, member);
  }
  if (parent.isVariableDeclarator() && path.key === 'init') return followTarget(search, parent.get('id'), meaning);
  if (parent.isAssignmentExpression() && path.key === 'right' && parent.node.operator === '=') {
    followTarget(search, parent.get('left'), meaning);
    return follow(search, parent, meaning);
  }
  if (parent.isCallExpression() || parent.isOptionalCallExpression()) return followCall(search, parent, path, meaning);
  cannotFollow(search, path, meaning);
}

function followCall(search: Search, call: NodePath, path: NodePath, meaning: Meaning): void {
  if (path.key === 'callee') return addCall(search, call, meaning);
  const callee = call.get('callee') as NodePath;
  const before = (call.get('arguments') as NodePath[]).slice(0, Number(path.key));
  const fn = before.some((argument) => argument.isSpreadElement()) ? undefined : functionOf(callee);
  if (fn && typeof path.key === 'number') followParameter(search, fn, path.key, meaning);
  else cannotFollow(search, path, meaning);
}

const members: ReadonlyMap<string, Meaning> = new Map([
  ['tools', 'tools'],
  ['call', 'call'],
  ['fetch', 'fetch'],
  ['files', 'files'],
]);

/** What a member of the meaning stands for; undefined when it is nothing that reaches anything. */
function memberOf(search: Search, path: NodePath, meaning: Meaning, name: string | undefined): Meaning | undefined {
  if (typeof meaning === 'object') return undefined;
  if (meaning === 'call' || meaning === 'fetch') {
    cannotFollow(search, path, meaning);
    return undefined;
  }
  if (name !== undefined) {
    if (meaning === 'ctx') return members.get(name);
    return meaning === 'tools' ? { tool: name } : { file: name };
  }
  const message = meaning === 'tools' ? 'the name of a tool is computed' : `a member of ${nameOf(meaning)} is computed`;
  const rule = meaning === 'files' ? 'dynamic_files' : 'dynamic_tool';
  search.findings.push(finding(path.node, rule, message, namedLiterally[meaning]));
  return undefined;
}

const nameOf = (meaning: string): string => (meaning === 'ctx' ? 'ctx' : `ctx.${meaning}`);

const namedLiterally = {
  ctx: 'Name each tool in the source: ctx.tools.csv_summary(input).',
  tools: 'Name each tool in the source: ctx.tools.csv_summary(input).',
  files: 'Name the function in the source: ctx.files.read(path).',
};

/** Notes what is reached by naming a member, also where it is not called at once. */
function addMember(search: Search, node: Node, meaning: Meaning): void {
  if (typeof meaning === 'string') return;
  if ('tool' in meaning) addUse(search, node, meaning.tool);
  // What is not known to only read is taken to write.
  else search.files.push({ access: readers.includes(meaning.file) ? 'read' : 'write', ...placeOf(node) });
}

const readers: readonly string[] = ['read', 'readBytes', 'list'];

function addCall(search: Search, call: NodePath, meaning: Meaning): void {
  if (meaning === 'call') addNamedCall(search, call);
  if (meaning === 'fetch') search.requests.push({ ...readRequest(call), ...placeOf(call.node) });
}

function addNamedCall(search: Search, call: NodePath): void {
  const [first] = call.get('arguments') as NodePath[];
  const text = first && literalText(first);
  if (text === undefined) {
    const message = 'the first argument of ctx.call is not a literal text';
    search.findings.push(
      finding(call.node, 'dynamic_tool', message, "Write it out: ctx.call('csv_summary@^1', input)."),
    );
    return;
  }
  const at = text.indexOf('@', 1);
  if (at < 0) addUse(search, call.node, text);
  else addUse(search, call.node, text.slice(0, at), text.slice(at + 1));
}

function addUse({ uses }: Search, node: Node, name: string, range?: string): void {
  const key = `${name}@${range ?? ''}`;
  if (!uses.has(key)) uses.set(key, { name, ...(range !== undefined && { range }), ...placeOf(node) });
}

/** Findings for tools that are called by more than one range: a lock holds one version of each. */
export function oneRangeEach(uses: readonly NamedTool[]): Finding[] {
  const first = new Map<string, NamedTool>();
  return uses.flatMap((use) => {
    const other = first.get(use.name);
    if (!other) {
      first.set(use.name, use);
      return [];
    }
    const message = `${use.name} is called as ${use.range ?? 'any version'} and, in line ${other.line}, as ${other.range ?? 'any version'}`;
    return [{ ...base('two_ranges', message, 'Use one range for each tool.'), line: use.line, column: use.column }];
  });
}

function cannotFollow({ findings }: Search, path: NodePath, meaning: Meaning): void {
  if (typeof meaning === 'object') return;
  const message = `${nameOf(meaning)} goes where its use cannot be followed`;
  const remedy = 'Use it directly, or hand it to a function that is called by its own name.';
  findings.push(finding(path.node, 'ctx_escapes', message, remedy));
}

const finding = (node: Node, rule: string, message: string, remedy: string): Finding => {
  const place = placeOf(node);
  return { ...base(rule, `line ${place.line}: ${message}`, remedy), ...place };
};

const base = (rule: string, message: string, remedy: string): Finding => ({
  rule,
  severity: 'error',
  where: 'code',
  message,
  remedy,
});

/** True where the value is only looked at: tests, comparisons, statements of their own. */
function isHarmless(parent: NodePath, path: NodePath): boolean {
  if (parent.isLogicalExpression()) return path.key === 'left' && parent.node.operator === '&&';
  if (parent.isExpressionStatement() || parent.isBinaryExpression()) return true;
  if (parent.isUnaryExpression()) return true;
  const isTest = parent.isIfStatement() || parent.isConditionalExpression() || parent.isWhileStatement();
  return isTest && path.key === 'test';
}

/** True where the value of the parent is the value itself. */
function isTransparent(parent: NodePath, path: NodePath): boolean {
  if (
    isTypeWrapper(parent) ||
    parent.isAwaitExpression() ||
    parent.isLogicalExpression() ||
    parent.isParenthesizedExpression()
  )
    return true;
  return parent.isConditionalExpression() && path.key !== 'test';
}
