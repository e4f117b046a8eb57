import type { Finding } from '../contracts.ts';
import { cleanText, shortText } from './clean.ts';
import { describeInvisible, findInvisible, type InvisibleCharacter } from './invisible.ts';
import { findOrders } from './orders.ts';

const maxNamed = 5;
// Names, types, dates: what most texts of a schema are, and what cannot hold poison.
const harmless = /^[\w.,:/+-]{0,40}$/;

/**
 * Finds what a text hides from its reader (`invisible_text`, an error) and orders that it gives to the model
 * (`orders_model`, a warning). A message never holds a raw hidden character.
 */
export function findPoison(where: string, text: string): Finding[] {
  if (harmless.test(text)) return [];
  const place = cleanText(where);
  const hidden = findInvisible(text);
  const findings = hidden.length === 0 ? [] : [invisibleFinding(place, hidden)];
  return [...findings, ...findOrders(text).map((phrase) => orderFinding(place, phrase))];
}

function invisibleFinding(where: string, hidden: InvisibleCharacter[]): Finding {
  const named = hidden.slice(0, maxNamed).map(describe).join(', ');
  const more = hidden.length > maxNamed ? ` and ${hidden.length - maxNamed} more` : '';
  return {
    rule: 'invisible_text',
    severity: 'error',
    where,
    message: `${where} holds what a reader cannot see: ${named}${more}`,
    remedy: 'Remove these characters; type the text anew if you cannot find them.',
  };
}

function describe({ codePoint, index }: InvisibleCharacter): string {
  const hex = codePoint.toString(16).toUpperCase().padStart(4, '0');
  return `U+${hex} (${describeInvisible(codePoint)}) at character ${index + 1}`;
}

function orderFinding(where: string, phrase: string): Finding {
  return {
    rule: 'orders_model',
    severity: 'warning',
    where,
    message: `${where} reads like an order to the model: "${shortText(phrase, 120)}"`,
    remedy: 'Say what the tool does and takes; leave it to the reader what to do.',
  };
}
