import type { NodePath } from '@babel/traverse';
import { isTypeWrapper } from './program.ts';

const maxSteps = 200;

/** The name that a key or member has in the source; undefined when it is computed. */
export function staticName(key: NodePath, isComputed: boolean): string | undefined {
  if (!isComputed && key.isIdentifier()) return key.node.name;
  return literalText(key);
}

/** The text that a literal stands for. */
export function literalText(path: NodePath): string | undefined {
  if (path.isStringLiteral()) return path.node.value;
  if (path.isTemplateLiteral() && path.node.expressions.length === 0)
    return path.node.quasis[0]?.value.cooked ?? undefined;
  return undefined;
}

/** The beginning of a text as far as the source says it, and whether that is all of it. */
export interface KnownText {
  text: string;
  isWhole: boolean;
}

const unknown: KnownText = { text: '', isWhole: false };

/** What can be known of the text that an expression gives: literals, templates, sums, and constants that hold them. */
export function knownText(path: NodePath, steps = { left: maxSteps }): KnownText {
  if (steps.left-- <= 0) return unknown;
  const literal = literalText(path);
  if (literal !== undefined) return { text: literal, isWhole: true };
  if (isTypeWrapper(path)) return knownText(path.get('expression') as NodePath, steps);
  if (path.isTemplateLiteral()) return knownTemplate(path, steps);
  if (path.isBinaryExpression() && path.node.operator === '+') {
    return joined([path.get('left'), path.get('right')], (part) => knownText(part, steps));
  }
  const init = constantInit(path);
  return init ? knownText(init, steps) : unknown;
}

function knownTemplate(path: NodePath, steps: { left: number }): KnownText {
  const parts = [...(path.get('quasis') as NodePath[]), ...(path.get('expressions') as NodePath[])];
  const inOrder = parts.sort((a, b) => (a.node.start ?? 0) - (b.node.start ?? 0));
  return joined(inOrder, (part) =>
    part.isTemplateElement() ? { text: part.node.value.cooked ?? '', isWhole: true } : knownText(part, steps),
  );
}

function joined(parts: readonly NodePath[], read: (part: NodePath) => KnownText): KnownText {
  let text = '';
  for (const part of parts) {
    const known = read(part);
    text += known.text;
    if (!known.isWhole) return { text, isWhole: false };
  }
  return { text, isWhole: true };
}

/** What a name that never changes was given; undefined for all else. */
export function constantInit(path: NodePath): NodePath | undefined {
  if (!path.isIdentifier()) return undefined;
  const binding = path.scope.getBinding(path.node.name);
  if (!binding?.constant || !binding.path.isVariableDeclarator() || !binding.path.get('id').isIdentifier())
    return undefined;
  const init = binding.path.get('init') as NodePath;
  return init.node ? init : undefined;
}
