import { Transform } from 'node:stream';

const newline = 10;

/**
 * Hands on whole lines and leaves out those over `maxBytes`, which it tells by their length so far. The SDK's reader
 * gives up the connection on such a line, and copies all that it has at every chunk of a long one.
 */
export function wholeLines(maxBytes: number, tooLong: () => void): Transform {
  let parts: Buffer[] = [];
  let length = 0;
  const keep = (part: Buffer): void => {
    const isOver = length > maxBytes;
    length += part.length;
    if (length <= maxBytes) return void parts.push(part);
    parts = [];
    if (!isOver) tooLong();
  };
  return new Transform({
    transform(chunk: Buffer, _, done) {
      let from = 0;
      for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, from)) {
        keep(chunk.subarray(from, end));
        if (length <= maxBytes) this.push(Buffer.concat([...parts, chunk.subarray(end, end + 1)]));
        parts = [];
        length = 0;
        from = end + 1;
      }
      if (from < chunk.length) keep(chunk.subarray(from));
      done();
    },
  });
}
