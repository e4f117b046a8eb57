import { describe, expect, it } from 'vitest';
import { authorLine, compileProgram } from '../../src/code/strip.ts';

async function textOf(source: string, language: 'javascript' | 'typescript' = 'typescript'): Promise<string> {
  const compiled = await compileProgram(source, language);
  if ('findings' in compiled) throw new Error(compiled.findings[0]?.message);
  return compiled.text;
}

const typed = `interface Input {
  a: string;
}

export default function run(input: Input) {
  const first = input.a;

  // a comment between
  throw new Error(
    first,
  );
}
`;

describe('compiling', () => {
  it('leaves JavaScript as its author wrote it, to the byte', async () => {
    const source = '// é\r\nexport default  ( )=>{ return{ } }\n\n';
    expect(await textOf(source, 'javascript')).toBe(source);
  });

  it('takes the types out of TypeScript and keeps what it does', async () => {
    const text = await textOf('enum A { B = 7 }\nexport default (x: number): number => (x as number) + A.B;');
    expect(text).not.toMatch(/: number|as number|enum /);
    const runs = await import(`data:text/javascript,${encodeURIComponent(text)}`);
    expect(runs.default(1)).toBe(8);
  });

  it('gives the same text for the same source', async () => {
    expect(await textOf(typed)).toBe(await textOf(typed));
  });

  it('gives what cannot be compiled as findings with the author’s line', async () => {
    const compiled = await compileProgram('export default () => ({});\nexport = 1;\nconst a: = 2;', 'typescript');
    expect(compiled).toMatchObject({ findings: [{ rule: 'compile', severity: 'error', where: 'code', line: 3 }] });
  });
});

describe('the author’s line', () => {
  it.each([
    ['function run', 5],
    ['const first', 6],
    ['throw new', 9],
    ['first\n', 10],
  ])('of %j in compiled TypeScript', async (part, line) => {
    const text = await textOf(typed);
    const compiledLine = text.slice(0, text.indexOf(part)).split('\n').length;
    expect(authorLine(text, compiledLine)).toBe(line);
  });

  it('stays what it is without a table of lines', () => {
    expect(authorLine('a\nb\nc', 2)).toBe(2);
  });

  it('is a line of the source even where the compiled text has more lines', async () => {
    const text = await textOf(typed);
    expect(authorLine(text, 10_000)).toBeLessThanOrEqual(typed.split('\n').length);
  });
});
