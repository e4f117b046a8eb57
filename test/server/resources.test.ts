import type { Client } from '@modelcontextprotocol/client';
import { describe, expect, it } from 'vitest';
import { createPrincipal } from '../../src/access/principals.ts';
import { agent, type TestApp, testApp } from '../helpers/app.ts';
import { connectInMemory, connectOverHttp } from '../helpers/clients.ts';
import { bare, lenient, saveSkill } from '../helpers/drafts.ts';
import type { Era } from '../helpers/process.ts';
import { waitingTool } from '../helpers/test-tools.ts';

const newest: readonly Era[] = ['2025-11-25', '2026-07-28'];
const read = async (client: Client, uri: string): Promise<string> => {
  const { contents } = await client.readResource({ uri });
  expect(contents).toHaveLength(1);
  const [content] = contents;
  if (content?.uri !== uri || !('text' in content)) throw new Error('other contents');
  return content.text;
};
// The code of both eras (MCP 2026-07-28, resources, error handling).
const notFound = (uri: string) => ({ code: -32_602, data: { uri } });

async function connect(app: TestApp, era: Era = '2025-11-25', name = 'test'): Promise<Client> {
  return connectInMemory(app, createPrincipal(`agent:${name}`, 'agent', ['author']), { era });
}

describe.each(newest)('resources for a client of %s', (era) => {
  it('are the listed tools, page by page as these are', async () => {
    const app = await testApp(lenient);
    await app.use('save_skill', bare({ description: 'Doubles a number, twice.' }));
    const client = await connect(app, era);
    const { resources } = await client.listResources();
    const { tools } = await client.listTools();
    expect(resources.map(({ name }) => name)).toEqual(tools.map(({ name }) => name));
    expect(resources).toContainEqual({
      uri: 'toolweaver://tools/double',
      name: 'double',
      title: 'Double',
      description: 'Doubles a number, twice.',
      mimeType: 'text/markdown',
    });
  });

  it('have templates for tools and runs', async () => {
    const client = await connect(await testApp(), era);
    const { resourceTemplates } = await client.listResourceTemplates();
    expect(resourceTemplates.map(({ uriTemplate }) => uriTemplate)).toEqual([
      'toolweaver://tools/{name}',
      'toolweaver://runs/{id}',
    ]);
  });

  it('show a tool with what it takes and gives, its examples and versions', async () => {
    const app = await testApp(lenient);
    const use_when = ['A number is to be doubled.'];
    await app.save({ use_when });
    await app.use('save_skill', bare({ use_when, description: 'Doubles a number, twice.' }));
    const client = await connect(app, era);
    const text = await read(client, 'toolweaver://tools/double');
    for (const part of [
      '# Double',
      'Doubles a number, twice.',
      '`double(',
      'Risk: none.',
      '## Use when\n\n- A number is to be doubled.',
      '"additionalProperties": false',
      '## Output',
      '- 1.0.1 (active)',
      '- 1.0.0 (superseded)',
    ])
      expect(text).toContain(part);
    expect(text).not.toContain('undefined');
  });

  it('show every built-in tool, also those that are not listed', async () => {
    const app = await testApp();
    const client = await connect(app, era);
    for (const { name, description } of app.catalog.list('local')) {
      const text = await read(client, `toolweaver://tools/${name}`);
      expect(text).toContain(description);
      expect(text).not.toContain('undefined');
    }
  });

  it('show where a run stands, to its principal alone', async () => {
    const waits = waitingTool();
    const app = await testApp({ moreTools: [waits.tool] });
    const outcome = await app.outcome('waits', {}, { backgroundAfterMs: 10 });
    const { runId } = outcome as { runId: string };
    const uri = `toolweaver://runs/${runId}`;
    const client = await connect(app, era);
    expect(JSON.parse(await read(client, uri))).toMatchObject({ run_id: runId, tool: 'waits', status: 'running' });
    const eve = await connect(app, era, 'eve');
    await expect(eve.readResource({ uri })).rejects.toMatchObject(notFound(uri));
    waits.finish();
  });

  it.each([
    'toolweaver://tools/nothing',
    'toolweaver://tools/',
    'toolweaver://tools/double@9.9.9',
    'toolweaver://tools/%E0%A4%A',
    'toolweaver://tools/%00',
    'toolweaver://tools/..%2F..%2Fetc%2Fpasswd',
    'toolweaver://tools/__proto__',
    'toolweaver://tools/call_tool/more',
    'toolweaver://tools/call_tool?x=1',
    `toolweaver://tools/${'x'.repeat(10_000)}`,
    'toolweaver://runs/run_none',
    'toolweaver://runs/',
    `toolweaver://runs/${'x'.repeat(100)}`,
    'toolweaver://nothing/call_tool',
    'file:///etc/passwd',
    'call_tool',
    '',
  ])('%j are not found', async (uri) => {
    const client = await connect(await testApp(), era);
    await expect(client.readResource({ uri })).rejects.toMatchObject(notFound(uri));
  });
});

describe('a resource', () => {
  it('of a tool is read by an encoded name as by a plain one', async () => {
    const app = await testApp(lenient);
    await saveSkill(app, 'a-b_c', 'return {};');
    const client = await connect(app);
    const plain = await read(client, 'toolweaver://tools/a-b_c');
    for (const uri of ['toolweaver://tools/a%2Db_c', 'toolweaver://tools/%61-b_c', 'toolweaver://tools/a-b_c%401.0.0'])
      expect(await read(client, uri)).toBe(plain);
  });

  it('of a version that waits for a person is not found', async () => {
    const strict = await testApp();
    await strict.use('save_skill', bare());
    const uri = 'toolweaver://tools/double';
    await expect((await connect(strict)).readResource({ uri })).rejects.toMatchObject(notFound(uri));
  });

  it('of a run whose result is large holds its first part, and where the next begins', async () => {
    const waits = waitingTool();
    const whole = await testApp({ moreTools: [waits.tool] });
    const { runId } = (await whole.outcome('waits', {}, { backgroundAfterMs: 10 })) as { runId: string };
    waits.finish({ status: 'done', value: Array.from({ length: 500 }, (_, i) => i) });
    const uri = `toolweaver://runs/${runId}`;
    const reader = await connect(whole);
    await expect.poll(async () => JSON.parse(await read(reader, uri)).status).toBe('done');
    expect(JSON.parse(await read(reader, uri))).toMatchObject({ total: 500, next_offset: 100 });
  });

  it('is read over HTTP too, and not found there in the same way', async () => {
    const whole = await testApp();
    for (const era of newest) {
      const reader = await connectOverHttp(whole, { name: 'test' }, { era });
      expect(await read(reader, 'toolweaver://tools/call_tool')).toContain('# Call a tool');
      const uri = 'toolweaver://tools/nothing';
      await expect(reader.readResource({ uri })).rejects.toMatchObject(notFound(uri));
    }
  });

  it('is refused to who may not read, with the reason', async () => {
    const nobody = createPrincipal('service:dumb', 'service', []);
    const reader = await connectInMemory(await testApp(), nobody, { era: '2025-11-25' });
    await expect(reader.readResource({ uri: 'toolweaver://tools/call_tool' })).rejects.toThrow(/scope/);
  });

  it('is counted like any other call', async () => {
    const whole = await testApp();
    await read(await connectInMemory(whole, agent, { era: '2025-11-25' }), 'toolweaver://tools/call_tool');
    await whole.sink.flush();
    const events = await whole.database.read.selectFrom('calls').selectAll().execute();
    expect(events).toMatchObject([{ tool: 'describe_tool', via: 'mcp', code: 'done' }]);
  });
});
