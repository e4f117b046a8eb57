import type { NodePath } from '@babel/traverse';
import type { Program } from '@babel/types';
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
export function findSecrets(root: NodePath<Program>): SecretUse {
  const texts: PlacedText[] = [];
  root.traverse({
    StringLiteral: ({ node }) => void texts.push({ text: node.value, ...placeOf(node) }),
    TemplateElement: ({ node }) => void texts.push({ text: node.value.cooked ?? '', ...placeOf(node) }),
  });
  return secretsIn(texts);
}

/** A text of a source, with its place. */
export interface PlacedText extends Place {
  text: string;
}

interface SecretUse {
  secrets: NamedSecret[];
  findings: Finding[];
}

/** The secrets that texts name. */
export function secretsIn(texts: readonly PlacedText[]): SecretUse {
  const secrets: NamedSecret[] = [];
  const findings: Finding[] = [];
  for (const { text, line, column } of texts) {
    for (const [, name = '', end] of text.matchAll(slot)) {
      if (end && nameForm.test(name)) secrets.push({ name, line, column });
      else findings.push(unreadable({ line, column }, name));
    }
  }
  return { secrets, findings };
}

function unreadable(place: Place, name: string): Finding {
  return {
    rule: 'dynamic_secret',
    severity: 'error',
    where: 'code',
    ...place,
    message: `line ${place.line}: the source does not say which secret: {{secret:${shortText(name)}`,
    remedy: "Write its name out, in capitals: 'Bearer {{secret:GITHUB_TOKEN}}'.",
  };
}
