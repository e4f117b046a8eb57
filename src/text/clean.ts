import { findInvisible } from './invisible.ts';

/**
 * Makes text safe to print on a terminal: escape sequences, controls, direction marks and all else that hides become
 * visible as `\u{1b}`. Line breaks and tabs stay.
 */
export function cleanText(text: string): string {
  let cleaned = '';
  let from = 0;
  for (const { codePoint, index, length } of findInvisible(text)) {
    cleaned += `${text.slice(from, index)}\\u{${codePoint.toString(16)}}`;
    from = index + length;
  }
  return cleaned + text.slice(from);
}

/** Makes text safe to stand inside one line of a message: cleaned, without line breaks, cut at `maxLength`. */
export function shortText(text: string, maxLength = 60): string {
  const head = text.slice(0, maxLength).replace(/[\uD800-\uDBFF]$/, '');
  return cleanText(head).replace(/\s+/g, ' ') + (text.length > maxLength ? '…' : '');
}
