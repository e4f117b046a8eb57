import { describe, expect, it } from 'vitest';
import { formatNames, formatTools, openApiDocument } from '../../src/catalog/formats.ts';
import { annotationsOf } from '../../src/catalog/tool.ts';
import { testApp } from '../helpers/app.ts';

const input = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  properties: {
    rows: { type: 'array', items: { $ref: '#/$defs/row' }, description: 'What to sum.' },
    like: { const: { $ref: '#/$defs/row' } },
    properties: { $ref: '#/$defs/row/properties/n' },
  },
  required: ['rows'],
  $defs: { row: { type: 'object', properties: { n: { type: 'number' } } } },
};
const output = { type: 'object', properties: { sum: { $ref: '#/$defs/n' } }, $defs: { n: { type: 'number' } } };
const tool = {
  name: 'csv_sum',
  title: 'CSV sum',
  description: 'Sums.',
  input,
  output,
  annotations: annotationsOf('none'),
};
const malformed = { ...tool, name: 'bad', input: { type: 'string' } };

describe('the list of tools', () => {
  it('for MCP is what tools/list gives', () => {
    expect(formatTools('mcp', [tool])).toEqual([
      {
        name: 'csv_sum',
        title: 'CSV sum',
        description: 'Sums.',
        inputSchema: input,
        outputSchema: output,
        annotations: {
          title: 'CSV sum',
          readOnlyHint: true,
          destructiveHint: false,
          idempotentHint: true,
          openWorldHint: false,
        },
      },
    ]);
  });

  it('for OpenAI is the `tools` of a chat completion', () => {
    expect(formatTools('openai', [tool])).toEqual([
      { type: 'function', function: { name: 'csv_sum', description: 'Sums.', parameters: input } },
    ]);
  });

  it('for Anthropic is the `tools` of a message', () => {
    expect(formatTools('anthropic', [tool])).toEqual([{ name: 'csv_sum', description: 'Sums.', input_schema: input }]);
  });

  it('for Gemini is one tool with all function declarations, whose schemas are JSON Schema', () => {
    expect(formatTools('gemini', [tool, { ...tool, name: 'other' }])).toEqual([
      {
        functionDeclarations: [
          { name: 'csv_sum', description: 'Sums.', parametersJsonSchema: input, responseJsonSchema: output },
          { name: 'other', description: 'Sums.', parametersJsonSchema: input, responseJsonSchema: output },
        ],
      },
    ]);
    expect(formatTools('gemini', [])).toEqual([{ functionDeclarations: [] }]);
  });

  it('leaves out in every format what would have the whole list refused', () => {
    for (const format of formatNames)
      expect(formatTools(format, [malformed, tool])).toEqual(formatTools(format, [tool]));
    expect(Object.keys(openApiDocument([malformed], { url: '', version: '1' }).paths)).not.toContain('/v1/tools/bad');
  });

  it('of the real built-ins fits what each API takes', async () => {
    const { catalog } = await testApp();
    const tools = catalog.list('local');
    interface Declared {
      name: string;
      description: string;
      [key: string]: unknown;
    }
    const openai = formatTools('openai', tools) as { type: string; function: Declared }[];
    const anthropic = formatTools('anthropic', tools) as Declared[];
    const [gemini] = formatTools('gemini', tools) as { functionDeclarations: Declared[] }[];
    expect([openai.length, anthropic.length, gemini?.functionDeclarations.length]).toEqual(
      tools.map(() => tools.length).slice(0, 3),
    );
    for (const { type, function: declared } of openai) {
      expect([type, Object.keys(declared)]).toEqual(['function', ['name', 'description', 'parameters']]);
      expect(declared.name).toMatch(/^[a-zA-Z0-9_-]{1,64}$/);
      expect(declared.description.length).toBeGreaterThan(0);
      expect(declared.parameters).toMatchObject({ type: 'object' });
    }
    for (const declared of anthropic) {
      expect(Object.keys(declared)).toEqual(['name', 'description', 'input_schema']);
      expect(declared.input_schema).toMatchObject({ type: 'object' });
      for (const combinator of ['oneOf', 'anyOf', 'allOf'])
        expect(declared.input_schema).not.toHaveProperty(combinator);
    }
    for (const declared of gemini?.functionDeclarations ?? []) {
      expect(declared.name).toMatch(/^[a-zA-Z_][\w.:-]{0,63}$/);
      expect(Object.keys(declared).filter((key) => key.startsWith('param'))).toEqual(['parametersJsonSchema']);
    }
  });
});

/** What a JSON pointer in a fragment points at. */
const at = (document: unknown, ref: string): unknown =>
  ref
    .slice(2)
    .split('/')
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], document);

/** Every `$ref` of a document, but for those inside of a `const`. */
function refsOf(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, one]) =>
    key === '$ref' && typeof one === 'string' ? [one] : key === 'const' ? [] : refsOf(one),
  );
}

describe('the OpenAPI document', () => {
  const document = openApiDocument([tool], { url: 'http://127.0.0.1:7077', version: '1.2.3' });

  it('is one of OpenAPI 3.1', async () => {
    const { catalog } = await testApp();
    const real = openApiDocument(catalog.list('local'), { url: 'http://127.0.0.1:7077', version: '1.2.3' });
    for (const { openapi, info, servers, paths, components, security } of [document, real]) {
      expect(openapi).toMatch(/^3\.1\.\d+$/);
      expect(info).toMatchObject({ title: 'ToolWeaver', version: '1.2.3' });
      expect(servers).toEqual([{ url: 'http://127.0.0.1:7077' }]);
      expect(security.flatMap(Object.keys)).toEqual(Object.keys(components.securitySchemes));
      const operations = Object.entries(paths as Record<string, Record<string, Operation>>).flatMap(([path, methods]) =>
        Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
      );
      const ids = operations.map(({ operation }) => operation.operationId);
      expect(new Set(ids).size).toBe(ids.length);
      for (const { path, method, operation } of operations) {
        expect(path).toMatch(/^\/v1\/[\w/{}-]+$/);
        expect(['get', 'post', 'delete']).toContain(method);
        const inPath = (operation.parameters ?? []).filter((one) => one.in === 'path').map((one) => one.name);
        expect(inPath).toEqual([...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name));
        for (const parameter of operation.parameters ?? []) {
          expect(parameter).toMatchObject({ name: expect.any(String), schema: expect.any(Object) });
          expect(['path', 'query', 'header']).toContain(parameter.in);
        }
        expect(Object.keys(operation.responses).every((status) => /^(?:[1-5]\d\d|default)$/.test(status))).toBe(true);
        for (const response of Object.values(operation.responses)) {
          const isWhole = typeof response.description === 'string' || typeof response.$ref === 'string';
          expect(isWhole, `${method} ${path}`).toBe(true);
        }
      }
    }
  });

  it('has an operation for every tool, with its schemas', () => {
    const post = at(document, '#/paths/~1v1~1tools~1csv_sum/post');
    expect(post).toMatchObject({ operationId: 'csv_sum', summary: 'CSV sum', description: 'Sums.' });
    expect(at(post, '#/requestBody/content/application~1json/schema')).toMatchObject({ required: ['rows'] });
    expect(at(post, '#/responses/200/content/application~1json/schema')).toMatchObject({ type: 'object' });
  });

  it('points with every reference at what the schema itself pointed at', () => {
    const refs = refsOf(document);
    expect(refs.filter((ref) => ref.includes('/$defs/'))).toHaveLength(3);
    for (const ref of refs) expect(at(document, ref), ref).toBeDefined();
    const schema = at(document, '#/paths/~1v1~1tools~1csv_sum/post/requestBody/content/application~1json/schema');
    const { items } = at(schema, '#/properties/rows') as { items: { $ref: string } };
    expect(at(document, items.$ref)).toEqual(input.$defs.row);
    // A value that only looks like a reference is left as it is, and so is the tool.
    expect(at(schema, '#/properties/like')).toEqual(input.properties.like);
    expect(input.properties.rows.items.$ref).toBe('#/$defs/row');
    expect(schema).not.toHaveProperty('$schema');
  });
});

interface Operation {
  operationId: string;
  parameters?: { name: string; in: string; schema: unknown }[];
  responses: Record<string, { description?: string; $ref?: string }>;
}
