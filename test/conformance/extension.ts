import { setTimeout as sleep } from 'node:timers/promises';
import {
  acceptedContent,
  type CallToolResult,
  CLIENT_CAPABILITIES_META_KEY,
  type ClientCapabilities,
  type ContentBlock,
  createRequestStateCodec,
  type InputRequiredResult,
  inputRequired,
  inputResponse,
  type McpServer,
  type Prompt,
  type PromptMessage,
  ResourceNotFoundError,
  type ServerContext,
  type Tool,
} from '@modelcontextprotocol/server';
import { signingKey } from '../../src/access/keys.ts';
import { localAgent } from '../../src/access/principals.ts';
import { createAsker } from '../../src/server/ask.ts';
import { callTool } from '../../src/server/call.ts';
import type { McpParts } from '../../src/server/parts.ts';
import { getPrompt, listPrompts } from '../../src/server/prompts.ts';
import { listResources, readResource, resourceTemplates } from '../../src/server/resources.ts';
import { png } from './road-tools.ts';

type Answered = CallToolResult | InputRequiredResult;
type Run = (input: Record<string, unknown>, ctx: ServerContext) => Answered | Promise<Answered>;

interface Fixture {
  tool: Tool;
  run: Run;
}

const fixture = (name: string, run: Run, inputSchema: Tool['inputSchema'] = { type: 'object' }): Fixture => ({
  tool: { name, description: `Fixture ${name}.`, inputSchema },
  run,
});
const content = (...blocks: ContentBlock[]): CallToolResult => ({ content: blocks });
const text = (words: string): CallToolResult => content({ type: 'text', text: words });
const image: ContentBlock = { type: 'image', data: png, mimeType: 'image/png' };
const resource = (uri: string, mimeType: string, words: string): ContentBlock => ({
  type: 'resource',
  resource: { uri, mimeType, text: words },
});

const strings = (...names: string[]) => ({
  type: 'object' as const,
  properties: Object.fromEntries(names.map((name) => [name, { type: 'string' as const }])),
  required: names,
});
const askName = inputRequired.elicit({ message: 'What is your name?', requestedSchema: strings('name') });
const sample = (prompt: string) =>
  inputRequired.createMessage({
    messages: [{ role: 'user', content: { type: 'text', text: prompt } }],
    maxTokens: 100,
  });

const contentTools: Fixture[] = [
  fixture('test_embedded_resource', () =>
    content(resource('test://embedded-resource', 'text/plain', 'This is an embedded resource content.')),
  ),
  fixture('test_multiple_content_types', () =>
    content(
      { type: 'text', text: 'Multiple content types test:' },
      image,
      resource('test://mixed-content-resource', 'application/json', '{"test":"data","value":123}'),
    ),
  ),
  fixture('test_tool_with_logging', async (_input, { mcpReq }) => {
    for (const data of ['Tool execution started', 'Tool processing data', 'Tool execution completed']) {
      await mcpReq.notify({ method: 'notifications/message', params: { level: 'info', data } });
      await sleep(50);
    }
    return text('logged');
  }),
];

// Every keyword that the suite wants to see unchanged in a listed schema.
const fullSchema: Tool['inputSchema'] = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  $defs: {
    address: {
      $anchor: 'addressDef',
      type: 'object',
      properties: { street: { type: 'string' }, city: { type: 'string' } },
    },
  },
  properties: {
    name: { type: 'string' },
    address: { $ref: '#/$defs/address' },
    contactMethod: { type: 'string', enum: ['phone', 'email'] },
    phone: { type: 'string' },
    email: { type: 'string' },
  },
  allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
  if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
  // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
  then: { required: ['phone'] },
  else: { required: ['email'] },
  additionalProperties: false,
};

const titled = ['value1', 'value2', 'value3'].map((value, n) => ({ const: value, title: `Option ${n + 1}` }));
const plain = ['option1', 'option2', 'option3'];
const askEnums = inputRequired.elicit({
  message: 'Choose',
  requestedSchema: {
    type: 'object',
    properties: {
      untitledSingle: { type: 'string', enum: plain },
      titledSingle: { type: 'string', oneOf: titled },
      legacyEnum: {
        type: 'string',
        enum: ['opt1', 'opt2', 'opt3'],
        enumNames: ['Option One', 'Option Two', 'Option Three'],
      },
      untitledMulti: { type: 'array', minItems: 1, maxItems: 3, items: { type: 'string', enum: plain } },
      titledMulti: { type: 'array', minItems: 1, maxItems: 3, items: { anyOf: titled } },
    },
  },
});

/** Requests one thing of the client under a key, and answers with what `read` makes of it. */
const requests =
  (
    key: string,
    request: (input: Record<string, unknown>) => typeof askName,
    read: (response: unknown) => string,
  ): Run =>
  (input, { mcpReq }) => {
    const response = mcpReq.inputResponses?.[key];
    return response === undefined ? inputRequired({ inputRequests: { [key]: request(input) } }) : text(read(response));
  };
const sampled = (response: unknown): string => JSON.stringify((response as { content?: unknown }).content);

const askingTools: Fixture[] = [
  fixture('json_schema_2020_12_tool', (input) => text(JSON.stringify(input)), fullSchema),
  fixture('test_elicitation_sep1330_enums', (_input, { mcpReq }) => {
    const { kind } = inputResponse(mcpReq.inputResponses, 'choice');
    return kind === 'elicit' ? text('chosen') : inputRequired({ inputRequests: { choice: askEnums } });
  }),
  fixture(
    'test_sampling',
    requests('s', ({ prompt }) => sample(String(prompt)), sampled),
    strings('prompt'),
  ),
  fixture(
    'test_missing_capability',
    requests('s', () => sample('Hello'), sampled),
  ),
  fixture(
    'test_input_required_result_sampling',
    requests('capital_question', () => sample('What is the capital of France?'), sampled),
  ),
  fixture(
    'test_input_required_result_list_roots',
    requests('client_roots', () => inputRequired.listRoots(), JSON.stringify),
  ),
  fixture('test_input_required_result_elicitation', (_input, { mcpReq }) => {
    const name = acceptedContent(mcpReq.inputResponses, 'user_name')?.name;
    return typeof name === 'string'
      ? text(`Hello, ${name}!`)
      : inputRequired({ inputRequests: { user_name: askName } });
  }),
  fixture('test_input_required_result_capabilities', (_input, ctx) => {
    if (ctx.mcpReq.inputResponses) return text('answered');
    const { elicitation, sampling, roots } = declared(ctx);
    return inputRequired({
      inputRequests: {
        ...(elicitation && { user_name: askName }),
        ...(sampling && { greeting: sample('Hello') }),
        ...(roots && { client_roots: inputRequired.listRoots() }),
      },
    });
  }),
];

/** Asks three things at once, with a state that the product finds to be its own when it comes back. */
const asksThree = (state: (ctx: ServerContext) => Promise<string>): Fixture =>
  fixture('test_input_required_result_multiple_inputs', async (_input, ctx) => {
    const inputRequests = {
      user_name: askName,
      greeting: sample('Generate a greeting'),
      client_roots: inputRequired.listRoots(),
    };
    const isComplete = Object.keys(inputRequests).every((key) => ctx.mcpReq.inputResponses?.[key] !== undefined);
    return isComplete ? text('all three') : inputRequired({ inputRequests, requestState: await state(ctx) });
  });

function declared({ mcpReq }: ServerContext): ClientCapabilities {
  const { envelope } = mcpReq as { envelope?: Record<string, unknown> };
  return (envelope?.[CLIENT_CAPABILITIES_META_KEY] ?? {}) as ClientCapabilities;
}

interface FixturePrompt {
  prompt: Prompt;
  messages(values: Record<string, string>): PromptMessage[];
}

const promptOf = (name: string, ...required: string[]): Prompt => ({
  name,
  description: `Fixture ${name}.`,
  arguments: required.map((argument) => ({ name: argument, required: true })),
});

const says = (block: ContentBlock): PromptMessage => ({ role: 'user', content: block });
const saysText = (words: string): PromptMessage => says({ type: 'text', text: words });
const prompts: FixturePrompt[] = [
  {
    prompt: promptOf('test_simple_prompt'),
    messages: () => [saysText('This is a simple prompt for testing.')],
  },
  {
    prompt: promptOf('test_prompt_with_arguments', 'arg1', 'arg2'),
    messages: ({ arg1, arg2 }) => [saysText(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`)],
  },
  {
    prompt: promptOf('test_prompt_with_embedded_resource', 'resourceUri'),
    messages: ({ resourceUri = '' }) => [
      says(resource(resourceUri, 'text/plain', 'Embedded resource content for testing.')),
      saysText('Please process the embedded resource above.'),
    ],
  },
  {
    prompt: promptOf('test_prompt_with_image'),
    messages: () => [says(image), saysText('Please analyze the image above.')],
  },
];

const askContext = inputRequired.elicit({ message: 'Which context?', requestedSchema: strings('context') });
const askingPrompt = promptOf('test_input_required_result_prompt');

const texts: Record<string, { mimeType: string; text?: string; blob?: string }> = {
  'test://static-text': { mimeType: 'text/plain', text: 'This is the content of the static text resource.' },
  'test://static-binary': { mimeType: 'image/png', blob: png },
  'test://watched-resource': { mimeType: 'text/plain', text: 'Watched.' },
};
const template = { name: 'template', uriTemplate: 'test://template/{id}/data', mimeType: 'application/json' };

function readFixture(uri: string) {
  const known = texts[uri];
  if (known) return { uri, ...known } as { uri: string; mimeType: string; text: string };
  const id = /^test:\/\/template\/([^/]+)\/data$/.exec(uri)?.[1];
  if (id === undefined) return undefined;
  return {
    uri,
    mimeType: 'application/json',
    text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` }),
  };
}

/**
 * Adds to each server of this product what the conformance suites look for and the product has no use for: sampling, roots,
 * logging, embedded resources, subscriptions. Whatever else is asked goes to the product's own handlers.
 */
export const createExtension =
  (parts: McpParts) =>
  (mcp: McpServer): void => {
    const { server } = mcp;
    const principal = localAgent();
    server.registerCapabilities({ resources: { subscribe: true }, logging: {}, completions: {} });
    extendTools(parts, mcp);

    server.setRequestHandler('resources/list', async ({ params }) => {
      const own = await listResources(parts, principal, params?.cursor);
      const more = Object.entries(texts).map(([uri, { mimeType }]) => ({ uri, name: uri, mimeType }));
      return { ...own, resources: [...own.resources, ...more] };
    });
    server.setRequestHandler('resources/templates/list', () => ({
      resourceTemplates: [...resourceTemplates, template],
    }));
    server.setRequestHandler('resources/read', async ({ params: { uri } }, { mcpReq }) => {
      const found = readFixture(uri);
      if (found) return { contents: [found] };
      if (uri.startsWith('test:')) throw new ResourceNotFoundError(uri);
      return readResource(parts, principal, uri, mcpReq.signal);
    });
    server.setRequestHandler('resources/subscribe', () => ({}));
    server.setRequestHandler('resources/unsubscribe', () => ({}));
    server.setRequestHandler('completion/complete', () => ({ completion: { values: [], total: 0, hasMore: false } }));

    server.setRequestHandler('prompts/list', () => ({
      prompts: [...listPrompts(), ...prompts.map(({ prompt }) => prompt), askingPrompt],
    }));
    server.setRequestHandler('prompts/get', ({ params }, { mcpReq }) => {
      if (params.name === askingPrompt.name) {
        const context = acceptedContent(mcpReq.inputResponses, 'user_context')?.context;
        if (typeof context !== 'string') return inputRequired({ inputRequests: { user_context: askContext } });
        return { messages: [saysText(context)] };
      }
      const found = prompts.find(({ prompt }) => prompt.name === params.name);
      const values = params.arguments ?? {};
      return found ? { messages: found.messages(values) } : getPrompt(params.name, values);
    });
  };

function extendTools(parts: McpParts, mcp: McpServer): void {
  const principal = localAgent();
  const key = () => signingKey(parts.database, principal.tenant, 'request-state');
  const state = async (ctx: ServerContext) =>
    createRequestStateCodec({ key: await key(), bind: () => `${principal.tenant}\0${principal.id}` }).mint({}, ctx);
  const fixtures = new Map([...contentTools, ...askingTools, asksThree(state)].map((one) => [one.tool.name, one]));
  const asker = createAsker({
    key,
    principal,
    elicitationCounts: parts.config.elicitationApproves,
    server: () => mcp,
  });
  mcp.server.setRequestHandler('tools/list', async ({ params }) => {
    const { tools, nextCursor } = await parts.listing.page(principal.tenant, params?.cursor);
    return nextCursor === undefined
      ? { tools: [...tools, ...[...fixtures.values()].map(({ tool }) => tool)] }
      : { tools, nextCursor };
  });
  mcp.server.setRequestHandler('tools/call', ({ params }, ctx) => {
    const found = fixtures.get(params.name);
    return found ? found.run(params.arguments ?? {}, ctx) : callTool(parts, { principal, asker }, params, ctx);
  });
}
