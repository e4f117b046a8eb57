// Letters of other scripts that are drawn like Latin ones, as far as they come in words of ours.
const greekTwins = 'ΑΒΕΖΗΙΚΜΝΟΡΤΥΧον';
const otherScripts = new RegExp(`[\\p{sc=Cyrillic}\\p{sc=Armenian}\\p{sc=Cherokee}${greekTwins}]`, 'u');
const latin = /\p{sc=Latin}/u;
const words = /[\p{L}\p{N}_]{2,}/gu;
// A digit or a letter that can stand for another: only then is it worth to look for the twin of a name.
const suspicious = /[^ -~]|[01I]/;

/** Finds words that mix Latin letters with others that look like them. */
export const findMixedWords = (text: string): string[] =>
  wordsOf(text).filter((word) => latin.test(word) && otherScripts.test(word));

/** Finds words that look like one of `names` and are not it: `save_skil1`, or one with a Cyrillic letter. */
export async function findTwins(text: string, names: readonly string[]): Promise<{ word: string; name: string }[]> {
  const candidates = wordsOf(text).filter((word) => suspicious.test(word) && !names.includes(word));
  if (candidates.length === 0) return [];
  const { default: shapeOf } = await import('unhomoglyph');
  const shape = (word: string): string =>
    shapeOf(word.normalize('NFKD').replaceAll(/\p{M}/gu, ''))
      .replaceAll(/[ĸᴋк]/g, 'k')
      .toLowerCase()
      .replaceAll('i', 'l');
  const shapes = new Map(names.map((name) => [shape(name), name]));
  return candidates.flatMap((word) => {
    const name = shapes.get(shape(word));
    return name === undefined || name.toLowerCase() === word.toLowerCase() ? [] : [{ word, name }];
  });
}

const wordsOf = (text: string): string[] => [...new Set(text.match(words) ?? [])];
