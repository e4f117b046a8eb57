import type { Finding } from '../contracts.ts';
import { cleanText, shortText } from './clean.ts';
import { findCredentials } from './credentials.ts';
import { describeInvisible, findInvisible, type InvisibleCharacter } from './invisible.ts';
import { findMixedWords } from './look-alike.ts';
import { findOrders } from './orders.ts';

/** Rules about texts that may harm whoever reads or believes them. A person must look at what breaks one. */
export const poisonRules = ['invisible_text', 'orders_model', 'look_alike', 'credential'] as const;

const maxNamed = 5;
// Names, types, dates: what most texts of a schema are, and what cannot hold poison.
const harmless = /^[\w.,:/+-]{0,18}$/;

/**
 * Finds what a text hides from its reader (`invisible_text`), words with letters that look like others (`look_alike`), what
 * looks like a password or key (`credential`), all of them errors, and orders that it gives to the model (`orders_model`, a
 * warning). A message never holds a raw hidden character or a credential.
 */
export function findPoison(where: string, text: string): Finding[] {
  if (harmless.test(text)) return [];
  const place = cleanText(where);
  const hidden = findInvisible(text);
  return [
    ...(hidden.length === 0 ? [] : [invisibleFinding(place, hidden)]),
    ...findMixedWords(text).map((word) => mixedFinding(place, word)),
    ...findCredentials(text).map(({ what }) => credentialFinding(place, what)),
    ...findOrders(text).map((phrase) => orderFinding(place, phrase)),
  ];
}

/** The same for every text and every name inside of a JSON value, where texts are data: only credentials are errors. */
export function findPoisonIn(where: string, value: unknown): Finding[] {
  const findings: Finding[] = [];
  const open: [string, unknown][] = [[where, value]];
  // The list grows while it is read, so the depth of a value costs no stack.
  for (const [place, one] of open) {
    if (typeof one === 'string') findings.push(...findPoison(place, one));
    if (typeof one !== 'object' || one === null) continue;
    for (const [key, member] of Object.entries(one)) {
      if (!Array.isArray(one)) findings.push(...findPoison(place, key));
      open.push([Array.isArray(one) ? `${place}[${key}]` : `${place}.${shortText(key)}`, member]);
    }
  }
  return findings.map((finding) => (finding.rule === 'credential' ? finding : { ...finding, severity: 'warning' }));
}

/** The finding for a word that looks like the name of a built-in tool and is not it. */
export const twinFinding = (where: string, word: string, name: string): Finding => ({
  rule: 'look_alike',
  severity: 'error',
  where,
  message: `${where} holds "${shown(word)}", which looks like the built-in tool ${name} and is not it`,
  remedy: `Write ${name} if that is meant, else another word.`,
});

/** The finding for what looks like a password or key. */
export const credentialFinding = (where: string, what: string): Finding => ({
  rule: 'credential',
  severity: 'error',
  where,
  message: `${where} holds what looks like ${what}`,
  remedy: 'Take it out, and have it replaced where it is valid; whoever reads this could use it.',
});

const mixedFinding = (where: string, word: string): Finding => ({
  rule: 'look_alike',
  severity: 'error',
  where,
  message: `${where} holds "${shown(word)}", which mixes letters of alphabets that look alike`,
  remedy: 'Type the word anew, all in one alphabet.',
});

// Letter for letter: in print, nobody could tell them from the others.
const shown = (word: string): string =>
  shortText(word).replaceAll(/[^\x20-\x7e…]/gu, (letter) => `\\u{${letter.codePointAt(0)?.toString(16)}}`);

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
