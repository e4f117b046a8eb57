/** A character that a reader does not see but a model or a terminal does; `index` counts UTF-16 units from 0. */
export interface InvisibleCharacter {
  codePoint: number;
  index: number;
  length: number;
}

// Controls, default-ignorable (zero width, direction, tags, variation selectors), unassigned, private use, lone halves
// of surrogate pairs, line and paragraph separators, interlinear annotation.
const suspects = /[\p{Cc}\p{DI}\p{Cn}\p{Co}\p{Cs}\u2028\u2029\uFFF9-\uFFFB]/gu;
const emojiPart = /^(?:\p{Extended_Pictographic}|\p{Emoji_Modifier}|\uFE0F)$/u;
const emojiBase = /^\p{Emoji}$/u;
const pictograph = /^\p{Extended_Pictographic}$/u;
// Scripts that cannot be written well without the joiners.
const joiningLetter =
  /^[\p{scx=Arab}\p{scx=Syrc}\p{scx=Mong}\p{scx=Deva}\p{scx=Beng}\p{scx=Guru}\p{scx=Gujr}\p{scx=Orya}\p{scx=Taml}\p{scx=Telu}\p{scx=Knda}\p{scx=Mlym}\p{scx=Sinh}\p{scx=Khmr}\p{scx=Mymr}]$/u;
const zeroWidthNonJoiner = 0x200c;
const zeroWidthJoiner = 0x200d;

/** Finds every character of `text` that hides something; what emoji and joined scripts need is not among them. */
export function findInvisible(text: string): InvisibleCharacter[] {
  const found: InvisibleCharacter[] = [];
  for (const match of text.matchAll(suspects)) {
    const codePoint = match[0].codePointAt(0) ?? 0;
    const [before, after] = [characterBefore(text, match.index), characterAt(text, match.index + match[0].length)];
    if (!hasPurpose(codePoint, before, after)) found.push({ codePoint, index: match.index, length: match[0].length });
  }
  return found;
}

/** What kind of hidden character a code point is, in words. */
export function describeInvisible(codePoint: number): string {
  const character = String.fromCodePoint(codePoint);
  if (/\p{Cs}/u.test(character)) return 'half of a surrogate pair';
  if (/\p{Cc}/u.test(character)) return 'control character';
  if (/\p{Bidi_Control}/u.test(character)) return 'direction control';
  if (codePoint >= 0xe0000 && codePoint <= 0xe007f) return 'tag character';
  if (/\p{Variation_Selector}/u.test(character)) return 'variation selector';
  if (/[\p{Cn}\p{Co}]/u.test(character) && !/\p{DI}/u.test(character)) return 'unassigned or private character';
  return 'invisible character';
}

function hasPurpose(codePoint: number, before: string, after: string): boolean {
  const character = String.fromCodePoint(codePoint);
  if (character === '\n' || character === '\t') return true;
  if (character === '\r') return after === '\n';
  if (codePoint === 0xfe0e || codePoint === 0xfe0f) return emojiBase.test(before);
  if (codePoint === zeroWidthJoiner && emojiPart.test(before) && pictograph.test(after)) return true;
  if (codePoint === zeroWidthJoiner || codePoint === zeroWidthNonJoiner) {
    return joiningLetter.test(before) && joiningLetter.test(after);
  }
  // Code points that Unicode keeps for emoji to come: a newer machine may have written one.
  return pictograph.test(character) && !/\p{DI}/u.test(character);
}

const characterAt = (text: string, index: number): string => {
  const codePoint = text.codePointAt(index);
  return codePoint === undefined ? '' : String.fromCodePoint(codePoint);
};

function characterBefore(text: string, index: number): string {
  const last = text.charAt(index - 1);
  return /[\uDC00-\uDFFF]/.test(last) && index > 1 ? characterAt(text, index - 2) : last;
}
