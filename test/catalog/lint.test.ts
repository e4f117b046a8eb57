import { describe, expect, it } from 'vitest';
import { lintTools, type Remark } from '../../src/catalog/lint.ts';
import { annotationsOf } from '../../src/catalog/tool.ts';
import { testApp } from '../helpers/app.ts';

const tool = (name: string, fields: Record<string, unknown> = {}) => ({
  name,
  title: name,
  description: 'Does something.',
  input: { type: 'object', properties: { x: { type: 'number', description: 'A number.' } } },
  annotations: annotationsOf('none'),
  ...fields,
});

const remarks = (...tools: ReturnType<typeof tool>[]): string[] =>
  lintTools(tools).remarks.map(({ effect, host, tool: name }: Remark) => `${host} ${effect} ${name}`);

describe('lint', () => {
  it('has nothing to say of a plain tool, nor of our own names at their longest', () => {
    expect(remarks(tool('plain'), tool('a'.repeat(46)))).toEqual([]);
  });

  it('has no host that drops or cuts one of the real built-ins', async () => {
    const { catalog } = await testApp();
    const { remarks: found } = lintTools(catalog.list('local'));
    expect(found.filter(({ effect }) => effect !== 'warns')).toEqual([]);
  });

  it('counts what a host sets before a name', () => {
    expect(remarks(tool('a'.repeat(47)))).toEqual(['VS Code drops '.concat('a'.repeat(47))]);
    const long = remarks(tool('a'.repeat(65)));
    expect(long.map((line) => line.split(' drops')[0])).toEqual([
      'Claude API',
      'VS Code',
      'Cursor',
      'Codex',
      'OpenAI API',
      'Gemini API',
    ]);
  });

  it('knows which characters are taken where', () => {
    expect(remarks(tool('with.dot')).map((line) => line.split(' drops')[0])).toEqual([
      'Claude Code',
      'Claude API',
      'VS Code',
      'Cursor',
      'Codex',
      'OpenAI API',
    ]);
    expect(remarks(tool('9lives'))).toEqual(['Gemini API drops 9lives']);
  });

  it('says who cuts a description and who cannot take a schema', () => {
    expect(remarks(tool('long', { description: 'é'.repeat(1_025) }))).toEqual(['Claude Code cuts long']);
    expect(remarks(tool('long', { description: 'é'.repeat(1_024) }))).toEqual([]);
    expect(remarks(tool('either', { input: { type: 'object', anyOf: [] } }))).toEqual([
      'Claude Code flattens either',
      'Claude API drops either',
      'OpenAI API drops either',
      'Gemini API drops either',
    ]);
  });

  it('counts the whole list against hosts that take only so many', () => {
    const many = Array.from({ length: 129 }, (_, i) => tool(`tool_${i}`));
    expect(remarks(...many)).toEqual(['VS Code drops *', 'OpenAI API drops *']);
    expect(remarks(...many.slice(1))).toEqual([]);
  });

  it('warns of parameters that nobody described, once', () => {
    const bare = { type: 'object', properties: { x: { type: 'number' } } };
    expect(remarks(tool('bare', { input: bare }))).toEqual(['every host warns bare']);
    expect(remarks(tool('none', { input: { type: 'object' } }))).toEqual([]);
  });

  it('says what each tool costs of a context, the most expensive first, and warns of the heavy ones', () => {
    const heavy = tool('heavy', { description: 'word '.repeat(900) });
    const report = lintTools([tool('light'), heavy, tool('other')]);
    const whole = JSON.stringify({
      name: 'heavy',
      description: heavy.description,
      inputSchema: heavy.input,
      annotations: { title: 'heavy', ...heavy.annotations },
    });
    expect(report.costs[0]).toEqual({ tool: 'heavy', tokens: Math.ceil(whole.length / 4) });
    expect(report.tools).toBe(3);
    expect(report.tokens).toBe(report.costs.reduce((sum, { tokens }) => sum + tokens, 0));
    expect(report.remarks).toContainEqual(
      expect.objectContaining({ host: 'every host', effect: 'warns', tool: 'heavy' }),
    );
    expect(lintTools(Array.from({ length: 30 }, (_, i) => tool(`t${i}`))).costs).toHaveLength(10);
  });
});
