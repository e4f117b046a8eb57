import { expect, test } from 'vitest';
import {
  type FromChild,
  fromLine,
  isTooDeep,
  maxLineBytes,
  monotonicMs,
  readLines,
  type ToChild,
  toLine,
} from '../../src/sandbox/protocol.ts';
import { defaultLimits } from '../../src/sandbox/sandbox.ts';

function read(chunks: (string | Buffer)[]): { lines: string[]; tooLong: number } {
  const lines: string[] = [];
  let tooLong = 0;
  const take = readLines(
    (line) => lines.push(line),
    () => tooLong++,
  );
  for (const chunk of chunks) take(Buffer.from(chunk as string));
  return { lines, tooLong };
}

test('lines are whole, however their bytes arrive', () => {
  expect(read(['one\ntwo\n', 'th', 're', 'e\n\nfo', 'ur']).lines).toEqual(['one', 'two', 'three', '']);
  const text = 'é\ud83d\ude00"\\n"\n漢\n';
  const bytes = Buffer.from(text);
  for (let size = 1; size < 6; size++) {
    const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
      bytes.subarray(i * size, (i + 1) * size),
    );
    expect(read(chunks).lines).toEqual(text.split('\n').slice(0, -1));
  }
});

test('a line over the limit is noticed before it is whole, one at the limit is not', () => {
  const half = 'x'.repeat(maxLineBytes / 2);
  expect(read([half, half, '\n'])).toMatchObject({ tooLong: 0 });
  expect(read([half, half]).lines).toEqual([]);
  expect(read([half, half, 'x']).tooLong).toBe(1);
  expect(read([half, '\n', half, '\n', half, '\n']).tooLong).toBe(0);
});

test('depth is counted in brackets outside of texts', () => {
  const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
  expect(isTooDeep(nested(64))).toBe(false);
  expect(isTooDeep(nested(65))).toBe(true);
  expect(isTooDeep(`[${'{"a":['.repeat(32)}`)).toBe(true);
  expect(isTooDeep(`[${Array(200).fill('[{}]').join(',')}]`)).toBe(false);
  expect(isTooDeep(JSON.stringify('['.repeat(100)))).toBe(false);
  expect(isTooDeep(JSON.stringify({ [`\\"${'{'.repeat(100)}`]: '\\' }))).toBe(false);
  expect(isTooDeep(`["\\"${'['.repeat(100)}"]`)).toBe(false);
  expect(isTooDeep(`["\\\\",${nested(64)}]`)).toBe(true);
  expect(isTooDeep(nested(200_000))).toBe(true);
});

test('broken JSON text is measured without an end to wait for', () => {
  for (const text of ['', '"', '"\\', '["', ']]]]', '{"a":"', '"\\"']) expect(isTooDeep(text)).toBe(false);
});

test('the clock of the watchdog only goes forward', () => {
  let before = monotonicMs();
  for (let i = 0; i < 1_000; i++) {
    const now = monotonicMs();
    expect(now).toBeGreaterThanOrEqual(before);
    before = now;
  }
});

test.each([
  { t: 'run', id: 1, hash: 'h', text: 'a\tb\nc', input: '{"a":"\\t"}', limits: defaultLimits, now: 0, seed: 1 },
  { t: 'run', id: 1, hash: 'h', input: 'null', limits: defaultLimits, now: 0, seed: 1 },
  { t: 'answer', id: 1, call: 2, ok: true, json: '"\\t\\n"' },
  { t: 'answer', id: 1, call: 2, ok: false, error: { name: 'E', message: 'a\tb\n' } },
  { t: 'call', id: 1, call: 2, name: 'a\tb', json: '[1]' },
  { t: 'end', id: 1, logs: ['\t', '\n'], usage: { wallMs: 1, cpuMs: 1, hostCalls: 0 }, end: { ok: true, json: '' } },
  { t: 'end', id: 1, logs: [], usage: { wallMs: 1, cpuMs: 1, hostCalls: 0 }, end: { ok: false, kind: 'busy' } },
  { t: 'stop', id: 3 },
] satisfies (ToChild | FromChild)[])('%j crosses as one line', (message) => {
  const line = toLine(message);
  expect(line.indexOf('\n')).toBe(line.length - 1);
  expect(fromLine(line.slice(0, -1))).toEqual(message);
});
