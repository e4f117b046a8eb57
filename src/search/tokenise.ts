import { stem } from './stem.ts';

const maxWordChars = 64;
const maxRemembered = 50_000;

const stopWords = new Set(
  (
    'i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers herself it ' +
    'its itself they them their theirs themselves what which who whom this that these those am is are was were be been ' +
    'being have has had having do does did doing a an the and but if or because as until while of at by for with about ' +
    'against between into through during before after above below to from up down in out on off over under again ' +
    'further then once here there when where why how all any both each few more most other some such no nor not only ' +
    'own same so than too very can will just should now ' +
    // What is left of contractions (I've, don't) once the apostrophe has split them.
    's t m re ve ll d don doesn didn isn aren wasn weren won wouldn couldn shouldn haven hasn hadn ain'
  ).split(' '),
);

/** Letters that NFD does not take apart. */
const plainLetters = new Map([
  ['ß', 'ss'],
  ['æ', 'ae'],
  ['œ', 'oe'],
  ['ø', 'o'],
  ['ł', 'l'],
  ['đ', 'd'],
  ['ı', 'i'],
]);

// biome-ignore lint/suspicious/noControlCharactersInRegex: this is the range of ASCII
const ascii = /^[\x00-\x7f]*$/;
const unspaced =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;
/** Accents of Latin, Greek and Cyrillic letters, vowel signs of Arabic and Hebrew; other scripts' marks carry the word. */
const accents = /[\u0300-\u036f\u0591-\u05c7\u0640\u064b-\u065f\u0670]/g;

let segmenter: Intl.Segmenter | undefined;

/** The words of a text as written, with camelCase, snake_case, dots and dashes split and unspaced scripts segmented. */
export function splitWords(text: string): string[] {
  if (ascii.test(text)) return (text.match(/[A-Za-z0-9]+/g) ?? []).flatMap(splitAsciiCase);
  // Soft hyphens and joiners are inside words; a zero-width space is between them.
  const visible = text.replace(/(?!\u200b)\p{Cf}/gu, '');
  return (visible.match(/[\p{L}\p{M}\p{N}]+/gu) ?? []).flatMap(splitRun);
}

/** Reads words as index terms: folded and stemmed, '' for a stop word. Remembers what it has read, within bounds. */
export function createTermReader(): (word: string) => string {
  const known = new Map<string, string>();
  return (word) => {
    const before = known.get(word);
    if (before !== undefined) return before;
    if (known.size >= maxRemembered) known.clear();
    const term = readTerm(word);
    known.set(word, term);
    return term;
  };
}

/** A text with case, accents and width folded and everything but letters and digits removed: what names are compared by. */
export function foldName(text: string): string {
  if (ascii.test(text)) return text.toLowerCase().replace(/[^a-z0-9]+/g, '');
  const open = text.normalize('NFKC').toLowerCase().normalize('NFD').replace(accents, '').normalize('NFC');
  return open
    .replace(/[^\p{L}\p{M}\p{N}]+/gu, '')
    .replace(/[ßæœøłđı]/g, (letter) => plainLetters.get(letter) ?? letter);
}

function readTerm(word: string): string {
  const folded = foldName(word).slice(0, maxWordChars);
  return stopWords.has(folded) ? '' : stem(folded);
}

function splitAsciiCase(word: string): string | string[] {
  if (!/[a-z0-9][A-Z]|[A-Z]{2}[a-z]/.test(word)) return word;
  return word.split(/(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/);
}

function splitRun(run: string): string[] {
  if (!unspaced.test(run)) return run.split(/(?<=[\p{Ll}\p{N}])(?=\p{Lu})|(?<=\p{Lu})(?=\p{Lu}\p{Ll})/u);
  segmenter ??= new Intl.Segmenter('en', { granularity: 'word' });
  const words: string[] = [];
  for (const { segment, isWordLike } of segmenter.segment(run)) if (isWordLike) words.push(segment);
  return words;
}
