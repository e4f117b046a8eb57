import type { NodePath } from '@babel/traverse';
import type { Comment, File, Function as FunctionNode, Node } from '@babel/types';
import type { Language } from './parse.ts';
import type { Place } from './place.ts';
import type { ProgramView } from './program.ts';

/** A source with the types that its schemas give it, and the way back to the author's places. */
export interface Annotated {
  text: string;
  authorPlace(place: Place): Place;
}

interface Edit {
  from: number;
  to: number;
  text: string;
}

/**
 * Gives `run` the types of its schemas where its author gave it none, and takes out all that would have the compiler read
 * files or close its eyes: comments (`/// <reference>`, `@ts-nocheck`, JSDoc imports), imported types, module names. No
 * line is added before the end, so every line is the author's.
 */
export function annotate(source: string, language: Language, ast: File, program: ProgramView): Annotated {
  const blanked = blankComments(source, ast.comments ?? []);
  const imports = withoutImports(blanked, program);
  const own = program.entry ? typed(blanked, language, program.entry) : { edits: [], after: '' };
  const edits = [...imports.edits, ...own.edits].sort((a, b) => a.from - b.from || a.to - b.to);
  const text = `${applyEdits(blanked, edits)}\n${imports.after}${own.after}\n`;
  const end = source.split('\n').length;
  const entry = program.entry?.node.loc?.start;
  return {
    text,
    authorPlace: (place) =>
      place.line > end
        ? { line: entry?.line ?? 1, column: (entry?.column ?? 0) + 1 }
        : { line: place.line, column: authorColumn(blanked, edits, place) },
  };
}

const blank = (text: string): string => text.replaceAll(/[^\n\r]/g, ' ');

function blankComments(source: string, comments: readonly Comment[]): string {
  let text = '';
  let at = 0;
  for (const { start, end } of comments) {
    text += source.slice(at, start ?? at) + blank(source.slice(start ?? at, end ?? at));
    at = end ?? at;
  }
  return text + source.slice(at);
}

function applyEdits(source: string, edits: readonly Edit[]): string {
  let text = '';
  let at = 0;
  for (const edit of edits) {
    text += source.slice(at, edit.from) + edit.text;
    at = edit.to;
  }
  return text + source.slice(at);
}

function authorColumn(source: string, edits: readonly Edit[], { line, column }: Place): number {
  const lineStart = line === 1 ? 0 : nthIndex(source, line - 1) + 1;
  let left = column - 1;
  let at = lineStart;
  for (const { from, to, text } of edits.filter((edit) => edit.from >= lineStart)) {
    if (from - at > left) break;
    left -= from - at;
    at = from;
    if (left <= text.length - (to - from)) return at - lineStart + 1;
    left -= text.length;
    at = to;
  }
  return at + Math.max(left, 0) - lineStart + 1;
}

function nthIndex(text: string, n: number): number {
  let at = -1;
  for (let i = 0; i < n; i++) at = text.indexOf('\n', at + 1);
  return at;
}

/** Imported types are `any`: there is no file to read them from. */
function withoutImports(source: string, { root }: ProgramView): { edits: Edit[]; after: string } {
  const edits: Edit[] = [];
  const names: string[] = [];
  const replace = (node: Node, by = ''): void => {
    const [from, to] = [node.start ?? 0, node.end ?? 0];
    edits.push({ from, to, text: by + blank(source.slice(from + by.length, to)) });
  };
  root.traverse({
    ImportDeclaration({ node }) {
      replace(node);
      names.push(...node.specifiers.map(({ local }) => local.name));
    },
    ExportAllDeclaration: ({ node }) => replace(node),
    ExportNamedDeclaration({ node }) {
      if (node.source) replace(node);
    },
    TSModuleDeclaration(path) {
      if (path.node.id.type !== 'StringLiteral') return;
      replace(path.node);
      path.skip();
    },
    TSTypeQuery(path) {
      if (path.node.exprName.type !== 'TSImportType') return;
      replace(path.node, 'any');
      path.skip();
    },
    TSImportType(path) {
      replace(path.node, 'any');
      path.skip();
    },
    CallExpression({ node }) {
      const { callee, arguments: given } = node;
      if (callee.type !== 'Identifier' || callee.name !== 'require') return;
      for (const one of given) if (one.type === 'StringLiteral' || one.type === 'TemplateLiteral') replace(one, '0');
    },
  });
  return { edits, after: names.map((name) => `type ${name}<A = any, B = any, C = any> = any;\n`).join('') };
}

interface Typed {
  edits: Edit[];
  /** What stands behind the author's last line. */
  after: string;
}

function typed(source: string, language: Language, entry: NodePath<FunctionNode>): Typed {
  if (language === 'javascript') return { edits: typedJavaScript(source, entry), after: '' };
  const held = contractOf(source, entry);
  return { edits: [...(hasType(entry) ? [] : typedFunction(source, entry.node)), ...held.edits], after: held.after };
}

/** True for a constant whose author gave it the type of the function. */
const hasType = ({ parentPath }: NodePath<FunctionNode>): boolean =>
  parentPath?.isVariableDeclarator() === true &&
  parentPath.node.id.type === 'Identifier' &&
  parentPath.node.id.typeAnnotation != null;

/** Types for those of the parameters and the answer that have none. */
function typedFunction(source: string, node: FunctionNode): Edit[] {
  const { params, body, returnType } = node;
  const isArrow = node.type === 'ArrowFunctionExpression';
  // Without comments there is nothing but the arrow between what the function takes and its body.
  const answerAt = isArrow ? source.lastIndexOf('=>', body.start ?? 0) : body.start;
  const isBare =
    isArrow &&
    source
      .slice(node.start ?? 0, params[0]?.start ?? 0)
      .replace('async', '')
      .trim() === '';
  const [first] = params;
  return [
    ...(isBare && first ? [insert(first.start, '(')] : []),
    ...params.slice(0, 2).flatMap((parameter, i) => {
      const target = parameter.type === 'AssignmentPattern' ? parameter.left : parameter;
      const isPlain = target.type === 'Identifier' || target.type === 'ObjectPattern';
      return isPlain && !target.typeAnnotation ? [insert(target.end, `: ${parameterTypes[i]}`)] : [];
    }),
    ...(isBare && first ? [insert(first.end, ')')] : []),
    ...(returnType ? [] : [insert(answerAt, `: ${answerType(node)} `)]),
  ];
}

const parameterTypes = ['ToolWeaverInput', 'ToolWeaverContext'];
const answerType = ({ async: isAsync }: FunctionNode): string => (isAsync ? 'ToolWeaverPromise' : 'ToolWeaverAnswer');

/** Holds the function against what it must be, since its author may have given it other types. */
function contractOf(source: string, { node, parentPath }: NodePath<FunctionNode>): Typed {
  if (node.type === 'FunctionDeclaration') {
    if (node.id) return { edits: [], after: contract(node.id.name) };
    const opening = node.typeParameters?.start ?? source.indexOf('(', node.start ?? 0);
    return { edits: [insert(opening, ' toolweaverRun')], after: contract('toolweaverRun') };
  }
  if (parentPath?.isVariableDeclarator() && parentPath.node.id.type === 'Identifier')
    return { edits: [], after: contract(parentPath.node.id.name) };
  const { start, end, extra } = node;
  const [from, to] = extra?.parenthesized
    ? [Number(extra.parenStart), source.indexOf(')', end ?? 0) + 1]
    : [start, end];
  return { edits: [insert(from, '('), insert(to, ') satisfies ToolWeaverRun')], after: '' };
}

const contract = (name: string): string => `${name} satisfies ToolWeaverRun;\n`;

function typedJavaScript(source: string, entry: NodePath<FunctionNode>): Edit[] {
  const { node } = entry;
  const isInParentheses = source.slice(node.start ?? 0, node.params[0]?.start ?? 0).includes('(');
  const parameters = node.params.slice(0, 2).flatMap((parameter, i) => {
    const isPlain = parameter.type === 'Identifier' || parameter.type === 'ObjectPattern';
    return isPlain && isInParentheses ? [insert(parameter.start, `/** @type {${parameterTypes[i]}} */`)] : [];
  });
  const statement = entry.getStatementParent();
  const outer = statement?.parentPath?.isExportNamedDeclaration() ? statement.parentPath : statement;
  const from = node.extra?.parenthesized ? node.start : outer?.node.start;
  return [insert(from, `/** @returns {${answerType(node)}} */`), ...parameters];
}

const insert = (at: number | null | undefined, text: string): Edit => ({ from: at ?? 0, to: at ?? 0, text });
