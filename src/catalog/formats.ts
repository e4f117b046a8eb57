import type { JsonSchema } from '../contracts.ts';
import { isRecord } from '../json.ts';
import { isListable } from './definition.ts';
import { pointerToken, readTree } from './schema-tree.ts';
import type { Tool } from './tool.ts';

export const formatNames = ['mcp', 'openai', 'anthropic', 'gemini'] as const;
export type FormatName = (typeof formatNames)[number];

type Definition = Pick<Tool, 'name' | 'title' | 'description' | 'input' | 'output' | 'annotations'>;

/** A tool as each LLM API takes it in its list of tools. */
const formats: Readonly<Record<FormatName, (tool: Definition) => Record<string, unknown>>> = {
  mcp: ({ name, title, description, input, output, annotations }) => ({
    name,
    title,
    description,
    inputSchema: input,
    ...(output && { outputSchema: output }),
    annotations: { title, ...annotations },
  }),
  // Chat Completions; not `strict`, which refuses optional properties.
  openai: ({ name, description, input }) => ({
    type: 'function',
    function: { name, description, parameters: input },
  }),
  anthropic: ({ name, description, input }) => ({ name, description, input_schema: input }),
  // The whole JSON Schema; `parameters` would take only a part of it.
  gemini: ({ name, description, input, output }) => ({
    name,
    description,
    parametersJsonSchema: input,
    ...(output && { responseJsonSchema: output }),
  }),
};

/**
 * The whole list in one format, as it is put into a request: Gemini wants one object around its functions. A definition
 * that hosts refuse is left out, since the whole list would be refused with it.
 */
export function formatTools(format: FormatName, tools: readonly Definition[]): unknown[] {
  const made = tools.filter(isSound).map((tool) => formats[format](tool));
  return format === 'gemini' ? [{ functionDeclarations: made }] : made;
}

const isSound = ({ name, title, description, input, output, annotations }: Definition): boolean =>
  isListable({ name, title, description, inputSchema: input, outputSchema: output, annotations }).length === 0;

const problemSchema = {
  type: 'object',
  required: ['type', 'title', 'status', 'detail'],
  properties: {
    type: { type: 'string' },
    title: { type: 'string', description: 'The error code (docs/errors.md).' },
    status: { type: 'integer' },
    detail: { type: 'string' },
    hint: { type: 'string' },
    details: { type: 'object' },
  },
};

/** The JSON API as an OpenAPI 3.1 document: one operation a tool. */
export function openApiDocument(tools: readonly Definition[], { url, version }: { url: string; version: string }) {
  return {
    openapi: '3.1.0',
    info: {
      title: 'ToolWeaver',
      version,
      description:
        'Call saved tools without MCP. Errors are RFC 9457 problems whose title is the code of docs/errors.md.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url }],
    security: [{ bearer: [] }],
    paths: {
      ...listPaths,
      ...Object.fromEntries(tools.filter(isSound).map((tool) => [toolPath(tool), { post: operation(tool) }])),
    },
    components: {
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } },
      schemas: { Problem: problemSchema, Run: runSchema },
      responses: {
        Problem: {
          description: 'What went wrong, and what to do next.',
          content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
        },
        Run: {
          description: 'It goes on in the background, or waits for an answer.',
          headers: { location: { schema: { type: 'string' }, description: 'Where the run can be read.' } },
          content: { 'application/json': { schema: { $ref: '#/components/schemas/Run' } } },
        },
      },
    },
  };
}

const runSchema = {
  type: 'object',
  required: ['run_id', 'status'],
  properties: {
    run_id: { type: 'string' },
    status: { enum: ['running', 'asks', 'done', 'failed', 'cancelled'] },
    value: {},
    error: { type: 'object' },
    question: { type: 'object' },
  },
};

// A call without a body is a call with an empty object.
const wantsInput = ({ required }: JsonSchema): boolean => Array.isArray(required) && required.length > 0;
const jsonBody = (schema: JsonSchema, required: boolean) => ({ required, content: { 'application/json': { schema } } });
const problem = { $ref: '#/components/responses/Problem' };
const runParameter = {
  name: 'id',
  in: 'path',
  required: true,
  schema: { type: 'string', minLength: 1, maxLength: 60 },
};
const query = (name: string, description: string, schema: JsonSchema) => ({ name, in: 'query', description, schema });
const pageParameters = [
  query('path', 'Where in the result, such as rows.3.name.', { type: 'string', maxLength: 500 }),
  query('offset', 'First element, character or key.', { type: 'integer', minimum: 0, maximum: 10_000_000, default: 0 }),
  query('limit', 'At most so many of them.', { type: 'integer', minimum: 1, maximum: 30_000, default: 100 }),
];
const run = {
  description: 'The run.',
  content: { 'application/json': { schema: { $ref: '#/components/schemas/Run' } } },
};

const listPaths = {
  '/v1/tools': {
    get: {
      operationId: 'listTools',
      summary: 'List every tool, in the form of an LLM API.',
      parameters: [{ name: 'format', in: 'query', schema: { enum: formatNames, default: 'mcp' } }],
      responses: {
        200: {
          description: 'The tools.',
          content: {
            'application/json': {
              schema: {
                type: 'object',
                required: ['tools'],
                properties: { tools: { type: 'array', items: { type: 'object' } } },
              },
            },
          },
        },
        default: problem,
      },
    },
  },
  '/v1/runs/{id}': {
    get: {
      operationId: 'getRun',
      summary: 'Read a kept run, and its result page by page.',
      parameters: [runParameter, ...pageParameters],
      responses: { 200: run, default: problem },
    },
    delete: {
      operationId: 'cancelRun',
      summary: 'Cancel a run.',
      parameters: [runParameter],
      responses: { 200: run, default: problem },
    },
  },
};

const toolPath = ({ name }: Pick<Definition, 'name'>): string => `/v1/tools/${name}`;

function operation({ name, title, description, input, output }: Definition) {
  const place = (...keys: string[]) =>
    [
      '#/paths',
      ...[toolPath({ name }), 'post', ...keys, 'content', 'application/json', 'schema'].map(pointerToken),
    ].join('/');
  return {
    operationId: name,
    summary: title,
    description,
    parameters: [
      {
        name: 'Idempotency-Key',
        in: 'header',
        description: 'The same key and input give the kept outcome instead of a second call.',
        schema: { type: 'string', minLength: 1, maxLength: 200 },
      },
    ],
    requestBody: jsonBody(movedTo(place('requestBody'), input), wantsInput(input)),
    responses: {
      200: {
        description: 'What it answered.',
        content: { 'application/json': { schema: movedTo(place('responses', '200'), output ?? {}) } },
      },
      202: { $ref: '#/components/responses/Run' },
      default: problem,
    },
  };
}

/** A schema as a part of a larger document: its references point at where its own parts are now. */
function movedTo(pointer: string, schema: JsonSchema): JsonSchema {
  const { $schema, $id, ...rest } = schema;
  const referring = new Set<unknown>(
    readTree('', rest).flatMap((node) => (typeof node.schema.$ref === 'string' ? [node.schema] : [])),
  );
  if (referring.size === 0) return rest;
  const move = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(move);
    if (!isRecord(value)) return value;
    const moved = Object.fromEntries(Object.entries(value).map(([key, one]) => [key, move(one)]));
    return referring.has(value) ? { ...moved, $ref: `${pointer}${String(value.$ref).slice(1)}` } : moved;
  };
  return move(rest) as JsonSchema;
}
