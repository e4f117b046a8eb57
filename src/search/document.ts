import { type Field, fields } from './bm25f.ts';
import { splitWords } from './tokenise.ts';

/** What is searched of an entry. Every text is plain words; `parameters` are names and their descriptions. */
export interface SearchDocument {
  id: string;
  name: string;
  description: string;
  useWhen: string[];
  exampleRequests: string[];
  parameters: string[];
  tags: string[];
  code?: string;
  /** The server or alias that a tool comes from. */
  origin?: string;
}

/** An entry as counts: its terms with their occurrences, and how many words each field has, stop words too. */
export interface CountedDocument {
  countsByTerm: Map<string, number[]>;
  lengths: number[];
}

const maxFieldChars = 50_000;

/** Counts an entry's terms by field; of a field longer than 50,000 characters the rest is not read. */
export function countTerms(document: SearchDocument, termOf: (word: string) => string): CountedDocument {
  const countsByTerm = new Map<string, number[]>();
  const lengths = fields.map((name, field) => {
    const words = splitWords(textOf(document, name).slice(0, maxFieldChars));
    for (const word of words) addCount(countsByTerm, termOf(word), field);
    return words.length;
  });
  return { countsByTerm, lengths };
}

function addCount(countsByTerm: Map<string, number[]>, term: string, field: number): void {
  if (term === '') return;
  let counts = countsByTerm.get(term);
  if (!counts) {
    counts = fields.map(() => 0);
    countsByTerm.set(term, counts);
  }
  counts[field] = (counts[field] as number) + 1;
}

function textOf(document: SearchDocument, field: Field): string {
  if (field === 'examples') return [...document.useWhen, ...document.exampleRequests].join('\n');
  if (field === 'parameters' || field === 'tags') return document[field].join('\n');
  return document[field] ?? '';
}
