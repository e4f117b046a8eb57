import { finished } from 'node:stream/promises';
import { describe, expect, it } from 'vitest';
import { wholeLines } from '../../src/server/lines.ts';

/** What comes out of chunks, and how often a line was too long. */
async function through(maxBytes: number, chunks: readonly string[]): Promise<[string[], number]> {
  let dropped = 0;
  const lines = wholeLines(maxBytes, () => void dropped++);
  const out: string[] = [];
  lines.on('data', (line) => void out.push(String(line)));
  for (const chunk of chunks) lines.write(Buffer.from(chunk));
  lines.end();
  await finished(lines);
  return [out, dropped];
}

describe('whole lines', () => {
  it.each<[string, string[], string[]]>([
    ['one to a chunk', ['a\n', 'b\n'], ['a\n', 'b\n']],
    ['many to a chunk', ['a\nb\n\nc\r\n'], ['a\n', 'b\n', '\n', 'c\r\n']],
    ['one in many chunks', ['a', 'b', '', 'c\nd', '\n'], ['abc\n', 'd\n']],
    ['without an end, which are none', ['a\nb'], ['a\n']],
    ['exactly as long as they may be', ['12345\n', '123', '45\n'], ['12345\n', '12345\n']],
  ])('come out whole: %s', async (_, chunks, lines) => {
    expect(await through(5, chunks)).toEqual([lines, 0]);
  });

  it.each<[string, string[]]>([
    ['in one chunk', ['ok\n123456\nok\n']],
    ['in many', ['ok\n123', '45', '6', '789', '\nok\n']],
    ['in a chunk that ends it', ['ok\n12345', '6\nok\n']],
    ['twice as long as they may be', ['ok\n', '1234567890', '1\n', 'ok\n']],
  ])('leave out one that is too long, and tell it once: %s', async (_, chunks) => {
    expect(await through(5, chunks)).toEqual([['ok\n', 'ok\n'], 1]);
  });
});
