import type { NodePath, TraverseOptions } from '@babel/traverse';
import type { File, Function as FunctionNode, Program } from '@babel/types';

/** A module with its names resolved. */
export interface ProgramView {
  root: NodePath<Program>;
  /** The function that the module exports as its default; undefined when it exports none. */
  entry: NodePath<FunctionNode> | undefined;
}

/**
 * Resolves the names of a module.
 * @throws RangeError when the code nests too deeply for it.
 */
export async function readProgram(ast: File): Promise<ProgramView> {
  const traverse = await loadTraverse();
  let root: NodePath<Program> | undefined;
  const visitor: TraverseOptions = {
    Program(path) {
      root = path;
      path.stop();
    },
  };
  traverse(ast, visitor);
  if (!root) throw new TypeError('A syntax tree without a program');
  return { root, entry: findEntry(root) };
}

// It is a CommonJS module: Node gives all of its exports as the default, other loaders the default among them.
async function loadTraverse(): Promise<Traverse> {
  const loaded = (await import('@babel/traverse')).default as unknown as Traverse | { default: Traverse };
  return typeof loaded === 'function' ? loaded : loaded.default;
}

type Traverse = (tree: File, visitor: TraverseOptions) => void;

function findEntry(root: NodePath<Program>): NodePath<FunctionNode> | undefined {
  for (const statement of root.get('body')) {
    if (statement.isExportDefaultDeclaration()) return functionOf(statement.get('declaration'));
    if (!statement.isExportNamedDeclaration()) continue;
    for (const specifier of statement.get('specifiers')) {
      if (!specifier.isExportSpecifier()) continue;
      const { exported } = specifier.node;
      const name = exported.type === 'Identifier' ? exported.name : exported.value;
      if (name === 'default') return functionOf(specifier.get('local'));
    }
  }
  return undefined;
}

/** The function that an expression is, or that its name stands for; undefined when nobody can tell. */
export function functionOf(path: NodePath): NodePath<FunctionNode> | undefined {
  if (path.isFunction()) return path;
  const inner = unwrap(path);
  if (inner !== path) return functionOf(inner);
  if (!path.isIdentifier()) return undefined;
  const binding = path.scope.getBinding(path.node.name);
  if (!binding?.constant) return undefined;
  if (binding.path.isFunction()) return binding.path;
  if (!binding.path.isVariableDeclarator()) return undefined;
  const init = binding.path.get('init');
  return init.isFunction() ? init : undefined;
}

function unwrap(path: NodePath): NodePath {
  return isTypeWrapper(path) ? (path.get('expression') as NodePath) : path;
}

/** True for an expression that only says something about the type of the one inside it. */
export const isTypeWrapper = (path: NodePath): boolean =>
  path.isTSAsExpression() || path.isTSSatisfiesExpression() || path.isTSNonNullExpression() || path.isTSTypeAssertion();
