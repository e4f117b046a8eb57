/** A suffix and what takes its place. */
type Rule = readonly [suffix: string, replacement: string];

const steps2 = rules(
  'ational:ate tional:tion enci:ence anci:ance izer:ize bli:ble alli:al entli:ent eli:e ousli:ous ization:ize ation:ate ' +
    'ator:ate alism:al iveness:ive fulness:ful ousness:ous aliti:al iviti:ive biliti:ble logi:log',
);
const steps3 = rules('icate:ic ative: alize:al iciti:ic ical:ic ful: ness:');
const steps4 = rules(
  'al: ance: ence: er: ic: able: ible: ant: ement: ment: ent: ion: ou: ism: ate: iti: ous: ive: ize:',
);

/** The stem of a lower-case English word of a to z (Porter 1980, with its author's later `bli` and `logi`). */
export function stem(word: string): string {
  if (word.length < 3) return word;
  let result = undouble(plural(word));
  if (result.endsWith('y') && hasVowel(result.slice(0, -1))) result = `${result.slice(0, -1)}i`;
  result = replaceSuffix(result, steps2, 1);
  result = replaceSuffix(result, steps3, 1);
  result = replaceSuffix(result, steps4, 2);
  return dropFinal(result);
}

function plural(word: string): string {
  if (word.endsWith('sses') || word.endsWith('ies')) return word.slice(0, -2);
  return word.endsWith('s') && !word.endsWith('ss') ? word.slice(0, -1) : word;
}

function undouble(word: string): string {
  if (word.endsWith('eed')) return measure(word.slice(0, -3)) > 0 ? word.slice(0, -1) : word;
  const cut = word.endsWith('ed') ? 2 : word.endsWith('ing') ? 3 : 0;
  const base = word.slice(0, word.length - cut);
  if (cut === 0 || !hasVowel(base)) return word;
  if (/(?:at|bl|iz)$/.test(base)) return `${base}e`;
  if (endsDouble(base) && !/[lsz]$/.test(base)) return base.slice(0, -1);
  return measure(base) === 1 && endsShort(base) ? `${base}e` : base;
}

function dropFinal(word: string): string {
  let result = word;
  if (word.endsWith('e')) {
    const base = word.slice(0, -1);
    const size = measure(base);
    if (size > 1 || (size === 1 && !endsShort(base))) result = base;
  }
  return result.endsWith('ll') && measure(result) > 1 ? result.slice(0, -1) : result;
}

/** Only the longest suffix that fits is tried, as the paper asks. */
function replaceSuffix(word: string, table: readonly Rule[], minMeasure: number): string {
  const rule = table.find(([suffix]) => word.endsWith(suffix));
  if (!rule) return word;
  const [suffix, replacement] = rule;
  const base = word.slice(0, word.length - suffix.length);
  if (suffix === 'ion' && !/[st]$/.test(base)) return word;
  return measure(base) >= minMeasure ? base + replacement : word;
}

/** How often a vowel is followed by a consonant: the paper's m. */
function measure(word: string): number {
  let count = 0;
  let wasVowel = false;
  for (let at = 0; at < word.length; at++) {
    const vowel = isVowel(word, at, wasVowel);
    if (wasVowel && !vowel) count++;
    wasVowel = vowel;
  }
  return count;
}

function hasVowel(word: string): boolean {
  return /[aeiou]|.y/.test(word);
}

function isVowel(word: string, at: number, afterVowel: boolean): boolean {
  const letter = word[at] ?? '';
  return letter === 'y' ? at > 0 && !afterVowel : 'aeiou'.includes(letter);
}

function endsDouble(word: string): boolean {
  return /([^aeiou])\1$/.test(word);
}

/** Ends consonant, vowel, consonant other than w, x, y: the paper's *o. */
function endsShort(word: string): boolean {
  return /(?:[^aeiouy]|(?:^|[aeiou])y)[aeiouy][^aeiouwxy]$/.test(word);
}

function rules(text: string): Rule[] {
  return text
    .split(' ')
    .map((rule) => [rule.slice(0, rule.indexOf(':')), rule.slice(rule.indexOf(':') + 1)] as const)
    .sort((a, b) => b[0].length - a[0].length);
}
