import { isRecord } from '../json.ts';

/** A value that must not be seen, and what stands in its place. */
export interface Masked {
  name: string;
  value: string;
}

/** Replaces secrets wherever text leaves. It meets accidents and plain echoes; who may choose the code can still encode. */
export interface Mask {
  text(text: string): string;
  /** Bytes that are no text; those that hold no secret come back as they are. */
  bytes(bytes: Buffer): Buffer;
  /** Every text in a JSON value, keys and numbers included. Values nest as deep as JSON may (`maxJsonDepth`). */
  json(value: unknown): unknown;
}

/**
 * A mask for these secrets: each becomes `[secret:NAME]`, written plainly, in any case, with single characters
 * URL-encoded (several times too), escaped as in JSON or HTML, in UTF-16, as hexadecimal digits, or as base64 in either
 * alphabet, at any place in what was encoded, and broken into lines.
 */
export function createMask(secrets: readonly Masked[]): Mask {
  // The longest first: one may hold another.
  const all = secrets
    .toSorted((a, b) => b.value.length - a.value.length)
    .flatMap(({ name, value }) => waysOf(value).map((way) => ({ way, instead: `[secret:${name}]` })));
  const text = (from: string): string => all.reduce((sofar, { way, instead }) => replace(sofar, way, instead), from);
  const json = (value: unknown): unknown => {
    if (typeof value === 'string') return text(value);
    if (typeof value === 'number') return text(String(value)) === String(value) ? value : text(String(value));
    if (Array.isArray(value)) return value.map(json);
    if (!isRecord(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [text(key), json(one)]));
  };
  const bytes = (from: Buffer): Buffer => {
    const before = from.toString('latin1');
    const after = text(before);
    return after === before ? from : Buffer.from(after, 'latin1');
  };
  return { text, bytes, json };
}

/** One way to write a value. It is searched by its beginning: a search for all of a long one takes far longer. */
interface Way {
  head: RegExp;
  /** What must follow, piece by piece. */
  tails: readonly RegExp[];
}

const pieceLength = 32;

function replace(text: string, { head, tails }: Way, instead: string): string {
  let [out, done] = ['', 0];
  head.lastIndex = 0;
  for (let found = head.exec(text); found; found = head.exec(text)) {
    const end = endOf(tails, text, head.lastIndex);
    head.lastIndex = end ?? found.index + 1;
    if (end === undefined) continue;
    out += text.slice(done, found.index) + instead;
    done = end;
  }
  return out + text.slice(done);
}

function endOf(tails: readonly RegExp[], text: string, from: number): number | undefined {
  let end = from;
  for (const tail of tails) {
    tail.lastIndex = end;
    if (!tail.test(text)) return undefined;
    end = tail.lastIndex;
  }
  return end;
}

// Every part is bounded and begins with what no other way of writing the same thing begins with, so that matching takes
// time in proportion to the text.
function waysOf(value: string): Way[] {
  const bytes = Buffer.from(value, 'utf8');
  const plain = toWay([...value].map(character), String.raw`\0{0,3}`, 'i');
  const digits = [...bytes].map((byte) => byte.toString(16).padStart(2, '0'));
  const hex = toWay(digits, String.raw`[\s:,-]{0,2}(?:0x|\\x)?`, 'i');
  return [plain, hex, ...[0, 1, 2].map((offset) => base64(bytes, offset))];
}

function toWay(units: readonly string[], between: string, flags: 'i' | ''): Way {
  const pieces: string[] = [];
  for (let at = 0; at < units.length; at += pieceLength) {
    const piece = units.slice(at, at + pieceLength).join(`(?:${between})`);
    pieces.push(at === 0 ? piece : `(?:${between})${piece}`);
  }
  const [head = '', ...tails] = pieces;
  return { head: new RegExp(head, `g${flags}`), tails: tails.map((tail) => new RegExp(tail, `y${flags}`)) };
}

const names: Readonly<Record<string, string>> = { '&': 'amp', '<': 'lt', '>': 'gt', '"': 'quot', "'": 'apos' };

function character(letter: string): string {
  const code = letter.codePointAt(0) ?? 0;
  const digits = code.toString(16).padStart(2, '0');
  const ways = [
    // In JSON, some characters have a backslash before them.
    String.raw`\\{0,4}${literal(letter)}`,
    `%(?:25){0,3}${digits}`,
    String.raw`\\{1,4}(?:u00|x)${digits}`,
    `&(?:#0{0,5}${code}|#x0{0,5}${digits}${names[letter] ? `|${names[letter]}` : ''});`,
    ...(letter === ' ' ? [String.raw`\+`] : []),
  ];
  return `(?:${ways.join('|')})`;
}

// Where `bytes` begin at this place in a group of three: the letters that only they decide, and the half ones beside.
function base64(bytes: Buffer, offset: number): Way {
  const whole = Buffer.concat([Buffer.alloc(offset), bytes])
    .toString('base64')
    .replaceAll('=', '');
  const bits = (offset + bytes.length) * 8;
  const first = Math.ceil((offset * 8) / 6);
  const last = Math.floor(bits / 6);
  const beside = (isThere: boolean) => (isThere ? '[A-Za-z0-9+/_-]?' : '');
  const units = [...whole.slice(first, last)].map((letter) => base64Letters[letter] ?? letter);
  units[0] = beside(first * 6 !== offset * 8) + units[0];
  units.push(units.pop() + beside(last * 6 !== bits));
  return toWay(units, String.raw`(?:\s|\\[rn]|%0[adAD]){0,4}`, '');
}

const base64Letters: Readonly<Record<string, string>> = {
  '+': '(?:[+-]|%2[bB])',
  '/': String.raw`(?:\\{0,4}/|_|%2[fF])`,
};

const literal = (letter: string): string => letter.replace(/[\\^$.*+?()[\]{}|/-]/, String.raw`\$&`);
