import type { CallToolResult, Client } from '@modelcontextprotocol/client';
import { describe, expect, it, vi } from 'vitest';
import { person, type TestApp, testApp } from '../helpers/app.ts';
import { lenient, saveSkill } from '../helpers/drafts.ts';

const rows =
  'return { rows: Array.from({ length: 3000 }, (_, i) => ({ i, text: "héllo" })), note: "é".repeat(50000) };';

interface Kept {
  app: TestApp;
  client: Client;
  runId: string;
  text: string;
}

/** A call through a client whose result is too large to return. */
async function callLarge(): Promise<Kept> {
  const app = await testApp(lenient);
  await saveSkill(app, 'many_rows', rows);
  const client = await app.as('ada');
  const result = (await client.callTool({
    name: 'call_tool',
    arguments: { name: 'many_rows', input: {} },
  })) as CallToolResult;
  expect(result.isError).toBe(true);
  const [content] = result.content;
  const text = content?.type === 'text' ? content.text : '';
  return { app, client, text, runId: /"run_id": "([^"]+)"/.exec(text)?.[1] ?? '' };
}

const ask = async (client: Client, args: Record<string, unknown>) =>
  (await client.callTool({ name: 'get_run', arguments: args })) as CallToolResult & {
    structuredContent?: Record<string, unknown>;
  };

describe('a result over 40 kB', () => {
  it('is kept, shown in part, and read page by page', async () => {
    const { client, runId, text } = await callLarge();
    expect(text).toMatch(/^\[too_large\] many_rows is done/);
    expect(text).toContain('preview: {"rows":[{"i":0,"text":"héllo"}');
    expect(text.length).toBeLessThan(3_000);
    const whole = await ask(client, { run_id: runId });
    expect(whole.structuredContent).toMatchObject({ run_id: runId, tool: 'many_rows', type: 'object', total: 2 });
    const page = await ask(client, { run_id: runId, path: 'rows', offset: 2_990, limit: 5 });
    expect(page.structuredContent).toMatchObject({
      type: 'array',
      total: 3_000,
      next_offset: 2_995,
      value: [2990, 2991, 2992, 2993, 2994].map((i) => ({ i, text: 'héllo' })),
    });
    expect((await ask(client, { run_id: runId, path: 'rows.7.text' })).structuredContent).toMatchObject({
      value: 'héllo',
    });
    expect(
      (await ask(client, { run_id: runId, path: 'note', offset: 49_999, limit: 9 })).structuredContent,
    ).toMatchObject({
      value: 'é',
      total: 50_000,
    });
  });

  it.each([
    ['a negative offset', { offset: -1 }, 'bad_input'],
    ['half an offset', { offset: 0.5 }, 'bad_input'],
    ['no limit at all', { limit: 0 }, 'bad_input'],
    ['a limit over all bounds', { limit: 1e9 }, 'bad_input'],
    ['a path that is no text', { path: 3 }, 'bad_input'],
    ['an unknown field', { page: 3 }, 'bad_input'],
  ])('is not read by %s', async (_, args, code) => {
    const app = await testApp();
    const client = await app.as('ada');
    const saved = await client.callTool({ name: 'get_run', arguments: { run_id: 'run_unknown', ...args } });
    // The run is unknown too: what is wrong with the input is said first.
    expect(JSON.stringify(saved)).toContain(code);
  });

  it('is for its caller and for people, not for other agents', async () => {
    const { app, client, runId } = await callLarge();
    const eve = await app.as('eve');
    const refused = await ask(eve, { run_id: runId });
    const unknown = await ask(client, { run_id: 'run_unknown' });
    expect(refused.isError).toBe(true);
    expect(JSON.stringify(refused).replaceAll(runId, 'run_unknown')).toBe(JSON.stringify(unknown));
    expect(await app.use('get_run', { run_id: runId }, { principal: person })).toMatchObject({ tool: 'many_rows' });
  });

  it('is gone after an hour', async () => {
    const { client, runId } = await callLarge();
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 3_500_000 });
    try {
      expect((await ask(client, { run_id: runId })).isError).toBeFalsy();
      vi.setSystemTime(Date.now() + 200_000);
      const gone = await ask(client, { run_id: runId });
      expect(gone.isError).toBe(true);
      expect(JSON.stringify(gone)).toContain('not_found');
    } finally {
      vi.useRealTimers();
    }
  });
});
