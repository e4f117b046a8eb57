import type { Client } from '@modelcontextprotocol/client';
import { describe, expect, it } from 'vitest';
import { instructions } from '../../src/server/instructions.ts';
import { agent, testApp } from '../helpers/app.ts';
import { connectInMemory } from '../helpers/clients.ts';
import { bare, lenient } from '../helpers/drafts.ts';
import type { Era } from '../helpers/process.ts';

const newest: readonly Era[] = ['2025-11-25', '2026-07-28'];
const maxInstructions = 2_048;

const textOf = async (client: Client, name: string, values: Record<string, string> = {}): Promise<string> => {
  const { messages } = await client.getPrompt({ name, arguments: values });
  expect(messages).toHaveLength(1);
  const [message] = messages;
  expect(message?.role).toBe('user');
  return message?.content.type === 'text' ? message.content.text : '';
};
const prompts = [
  ['write_skill', { need: 'sum the columns of a CSV' }],
  ['turn_this_into_a_skill', { name: 'csv_summary' }],
  ['turn_this_into_a_skill', {}],
] as const;
/** What a text writes like the name of a tool or a field: words with underscores. */
const namesIn = (text: string): string[] => [...new Set(text.match(/\b[a-z]+(?:_[a-z]+)+\b/g) ?? [])];

describe.each(newest)('prompts for a client of %s', (era) => {
  const connect = async () => connectInMemory(await testApp(), agent, { era });

  it('are listed with what they take', async () => {
    const { prompts: listed } = await (await connect()).listPrompts();
    expect(
      listed.map(({ name, arguments: given = [] }) => [name, given.map((one) => [one.name, one.required])]),
    ).toEqual([
      ['write_skill', [['need', true]]],
      ['turn_this_into_a_skill', [['name', false]]],
    ]);
  });

  it.each(prompts)('%s holds what was given, and is short', async (name, values) => {
    const text = await textOf(await connect(), name, values);
    for (const value of Object.values(values)) expect(text).toContain(value);
    expect(text).not.toContain('undefined');
    expect(text.length).toBeLessThan(2_000);
  });

  it.each([
    ['without what is required', 'write_skill', {}, 'need'],
    ['with it empty', 'write_skill', { need: '  ' }, 'need'],
    ['with something else instead', 'write_skill', { name: 'x' }, 'need'],
    ['of an unknown name', 'write_nothing', {}, 'write_nothing'],
    ['of a name of every object', 'constructor', {}, 'constructor'],
  ])('%s are refused, naming it', async (_, name, values, named) => {
    const refused = (await connect()).getPrompt({ name, arguments: values as Record<string, string> });
    await expect(refused).rejects.toMatchObject({ code: -32_602, message: expect.stringContaining(named) });
  });
});

describe('what models are told', () => {
  it.each([['instructions', instructions] as const])('%s are at most 2 KB', (_, text) => {
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(maxInstructions);
  });

  it('names only tools that there are, and only fields that they take', async () => {
    const app = await testApp();
    const client = await connectInMemory(app, agent, { era: '2025-11-25' });
    const texts = [instructions];
    for (const [name, values] of prompts) texts.push(await textOf(client, name, values));
    const tools = app.catalog.list('local');
    const fields = tools.flatMap(({ input }) => Object.keys((input.properties ?? {}) as object));
    const known = new Set([...tools.map(({ name }) => name), ...fields, 'csv_summary']);
    for (const text of texts) {
      expect(namesIn(text).filter((name) => !known.has(name))).toEqual([]);
      expect(namesIn(text).length).toBeGreaterThan(3);
    }
    for (const tool of ['search_tools', 'save_skill', 'call_tool', 'get_run']) expect(instructions).toContain(tool);
  });

  it('about a skill is true: one written as the prompt says is saved and called', async () => {
    const app = await testApp(lenient);
    const client = await connectInMemory(app, agent, { era: '2025-11-25' });
    const text = await textOf(client, 'write_skill', { need: 'double a number' });
    const head = /export default async function run\(input, ctx\) \{/.exec(text)?.[0];
    const described = { type: 'object', properties: { x: { type: 'number', description: 'A number.' } } };
    const fields = {
      code: `${head} return { x: input.x * 2 }; }`,
      input_schema: described,
      output_schema: described,
      examples: [{ input: { x: 1 }, output: { x: 2 } }],
      use_when: ['A number is to be doubled.'],
      example_requests: ['double 2', 'twice 3', 'what is 2 times 4'],
    };
    for (const field of Object.keys(fields).filter((field) => field !== 'code')) expect(text).toContain(field);
    await app.use('save_skill', bare(fields));
    expect(await app.use('double', { x: 4 })).toEqual({ x: 8 });
  });
});

it('hosts are told what to load always and what to ask a person about always, and of nothing else', async () => {
  const client = await connectInMemory(await testApp(), agent, { era: '2025-11-25' });
  const { tools } = await client.listTools();
  const hints = tools.flatMap(({ name, _meta }) => (_meta ? [[name, _meta]] : []));
  expect(hints).toEqual([
    ['search_tools', { 'anthropic/alwaysLoad': true }],
    ['decide_review', { 'anthropic/requiresUserInteraction': true }],
  ]);
});
