import type { NodePath } from '@babel/traverse';
import type { Node, Program } from '@babel/types';
import type { Finding } from '../contracts.ts';
import { shortText } from '../text/clean.ts';
import { type Place, placeOf } from './place.ts';

/** A secret that a text of the source names, `{{secret:NAME}}`. */
export interface NamedSecret extends Place {
  name: string;
}

const slot = /\{\{secret:([^{}]*)(\}\})?/g;
const nameForm = /^[A-Z][A-Z0-9_]{0,63}$/;

/** Finds the secrets that the texts of a program name; a name that is put together is an error. */
export function findSecrets(root: NodePath<Program>): { secrets: NamedSecret[]; findings: Finding[] } {
  const secrets: NamedSecret[] = [];
  const findings: Finding[] = [];
  const read = (node: Node, text: string): void => {
    for (const [, name = '', end] of text.matchAll(slot)) {
      if (end && nameForm.test(name)) secrets.push({ name, ...placeOf(node) });
      else findings.push(unreadable(node, name));
    }
  };
  root.traverse({
    StringLiteral: ({ node }) => read(node, node.value),
    TemplateElement: ({ node }) => read(node, node.value.cooked ?? ''),
  });
  return { secrets, findings };
}

function unreadable(node: Node, name: string): Finding {
  const place = placeOf(node);
  return {
    rule: 'dynamic_secret',
    severity: 'error',
    where: 'code',
    ...place,
    message: `line ${place.line}: the source does not say which secret: {{secret:${shortText(name)}`,
    remedy: "Write its name out, in capitals: 'Bearer {{secret:GITHUB_TOKEN}}'.",
  };
}
