import { describe, expect, it } from 'vitest';
import { WeaverError } from '../src/errors.ts';
import { createLog, type Log, type LogLevel, silentLog } from '../src/log.ts';

/** What a log writes, as text and as parsed lines. */
function written(use: (log: Log) => void, level: LogLevel = 'debug') {
  const lines: string[] = [];
  use(createLog(level, { write: (line) => void lines.push(line) }));
  return { text: lines.join(''), lines: lines.map((line) => JSON.parse(line)) };
}

describe('a log', () => {
  it('writes one JSON line with its facts, then a sentence, from its level on', () => {
    const { lines } = written((log) => {
      log.debug({ tool: 'a' }, 'too fine');
      log.warn({ tool: 'b', count: 2, since: new Date(0) }, 'worth knowing');
    }, 'warn');
    expect(lines).toEqual([
      expect.objectContaining({ tool: 'b', count: 2, since: '1970-01-01T00:00:00.000Z', msg: 'worth knowing' }),
    ]);
    expect(written((log) => log.error({}, 'x'), 'silent').lines).toEqual([]);
    expect(() => silentLog.error({}, 'x')).not.toThrow();
  });

  it.each([
    ['token', { token: 's3cret' }],
    [
      'a header, whatever its case',
      { request: { headers: { Authorization: 's3cret', 'X-Api-Key': 's3cret', 'set-cookie': ['s3cret'] } } },
    ],
    ['a longer name', { db_password: 's3cret', clientSecret: { value: 's3cret' }, privateKey: 's3cret' }],
    ['a list', { many: [{ a: [{ accessToken: 's3cret' }] }] }],
    [
      'an error and its causes',
      { error: new Error('outer', { cause: Object.assign(new Error('inner'), { config: { apiKey: 's3cret' } }) }) },
    ],
    ['details', { error: new WeaverError('internal', 'x', { details: { credentials: { user: 's3cret' } } }) }],
  ])('keeps to itself what stands under %s', (_, facts) => {
    const { text } = written((log) => log.info(facts, 'something'));
    expect(text).toContain('[redacted]');
    expect(text).not.toContain('s3cret');
  });

  it('keeps what only sounds like a secret', () => {
    const facts = { tokens: 120, nameKey: 'csvsummary', keys: 3, monkey: true };
    expect(written((log) => log.info(facts, 'x')).lines[0]).toMatchObject(facts);
  });

  it('tells errors with their stacks and causes, also deeper in the facts', () => {
    const error = new WeaverError('internal', 'outer', { cause: new Error('middle', { cause: new Error('root') }) });
    const [line] = written((log) => log.error({ error, run: { errors: [new Error('nested')] } }, 'failed')).lines;
    expect(line.error).toMatchObject({
      message: 'outer',
      code: 'internal',
      cause: { message: 'middle', cause: { message: 'root' } },
    });
    expect(line.error.cause.stack).toContain('log.test.ts');
    expect(line.run.errors[0]).toMatchObject({ message: 'nested' });
  });

  it('survives facts that turn in a circle, or hold what JSON cannot', () => {
    const circle: Record<string, unknown> = { big: 1n, none: undefined, sign: Symbol('x') };
    circle.self = circle;
    expect(written((log) => log.warn(circle, 'round')).lines[0]).toMatchObject({ msg: 'round' });
  });
});
