import { describe, expect, it } from 'vitest';
import type { Finding } from '../../src/contracts.ts';
import { WeaverError } from '../../src/errors.ts';
import { isTooLarge, toErrorResult, toResult } from '../../src/server/result.ts';

const finding = (n: number): Finding => ({
  rule: 'unknown_tool',
  severity: 'error',
  where: 'code',
  line: n,
  message: `there is no tool named tool_${n}`,
  remedy: 'Save it first.',
});

const text = (result: { content: readonly unknown[] }): string => (result.content[0] as { text: string }).text;

describe('an error as a result', () => {
  it('is its code and message, every finding with its line and remedy, and what to do next', () => {
    const details = { findings: [finding(1), finding(2)] };
    const result = toErrorResult(new WeaverError('check_failed', 'Not saved.', { hint: 'Mend them.', details }));
    expect(result).toMatchObject({ isError: true, _meta: { 'toolweaver/error': { code: 'check_failed', details } } });
    expect(text(result).split('\n')).toEqual([
      '[check_failed] Not saved.',
      expect.stringMatching(/^- error in code.* line 1: .*tool_1 → Save it first\.$/),
      expect.stringMatching(/^- error in code.* line 2: .*tool_2 → Save it first\.$/),
      'hint: Mend them.',
    ]);
  });

  it('stays small with thousands of findings, and says how many more there are', () => {
    const findings = Array.from({ length: 3_000 }, (_, n) => finding(n + 1));
    const result = toErrorResult(
      new WeaverError('check_failed', 'Not saved.', { hint: 'Mend them.', details: { findings } }),
    );
    expect(JSON.stringify(result).length).toBeLessThan(80_000);
    expect(text(result)).toContain('\n- and 2900 more\nhint: Mend them.');
    expect(result._meta).toMatchObject({ 'toolweaver/error': { details: { findings: findings.slice(0, 100) } } });
  });

  it('leaves details out that would be too large', () => {
    const details = { problems: ['x'.repeat(100_000)] };
    const result = toErrorResult(new WeaverError('bad_input', 'Wrong.', { details }));
    expect(result._meta).toEqual({ 'toolweaver/error': { code: 'bad_input', message: 'Wrong.' } });
  });

  it('says nothing of its cause', () => {
    const result = toErrorResult(new WeaverError('internal', 'Something went wrong.', { cause: new Error('s3cret') }));
    expect(JSON.stringify(result)).not.toContain('s3cret');
  });
});

describe('a value as a result', () => {
  it.each<[unknown, string, boolean]>([
    [{ a: 1 }, '{"a":1}', true],
    ['plain text', 'plain text', false],
    [[1, 2], '[1,2]', false],
    [null, 'null', false],
    [undefined, 'null', false],
    [0, '0', false],
  ])('is text, and structured when it is an object: %j', (value, expected, isStructured) => {
    const result = toResult({ status: 'done', value });
    expect(text(result)).toBe(expected);
    expect('structuredContent' in result).toBe(isStructured);
  });

  it('is too large by its bytes, not by its characters', () => {
    expect([isTooLarge('x'.repeat(39_000)), isTooLarge('é'.repeat(39_000)), isTooLarge(undefined)]).toEqual([
      false,
      true,
      false,
    ]);
  });

  it('has what stands beside it behind its text', () => {
    const image = { type: 'image' as const, data: 'AAAA', mimeType: 'image/png' };
    expect(toResult({ status: 'done', value: 1, attachments: [image] }).content).toEqual([
      { type: 'text', text: '1' },
      image,
    ]);
  });
});
