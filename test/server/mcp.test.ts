import { join } from 'node:path';
import type { Client } from '@modelcontextprotocol/client';
import Database from 'better-sqlite3';
import { beforeAll, describe, expect, it } from 'vitest';
import { listedBuiltins } from '../../src/tools/index.ts';
import { draft } from '../helpers/app.ts';
import { connectClient, eras, makeHome, startServer, textOf, until } from '../helpers/process.ts';

const skills = {
  double: { examples: [{ input: { x: 2 }, output: { y: 4 } }] },
  counts: {
    code: `export default (i, ctx) => {
      for (const n of [1, 2, 2, 1, NaN, Infinity, 3]) ctx.progress(n, n === 3 ? NaN : 3, 'step ' + n);
      for (let n = 0; n < 3e5; n++);
      return { y: i.x };
    }`,
  },
  floods: { code: 'export default (i, ctx) => { for (let n = 0; n < 5000; n++) ctx.progress(n); return { y: i.x }; }' },
  throws: { code: 'export default (i) => { if (i.x > 2) throw new Error("meant to"); return { y: i.x }; }' },
  large: {
    code: 'export default (i) => ({ y: i.x, text: "x".repeat(i.x * 10000) })',
    output_schema: undefined,
    examples: [],
  },
  lists: { code: 'export default (i) => [i.x, null];', output_schema: undefined, examples: [] },
  works: { code: 'export default (i) => { let y = 0; for (let n = 0; n < i.x; n++) y = n; return { y: i.x }; }' },
  patient: {
    code: `export default async (i, ctx) => {
      for (let n = 0; n < 900; n++) { await ctx.tools.works({ x: 150000 }); ctx.progress(n); }
      return { y: i.x };
    }`,
    examples: [],
  },
} as const;

const home = makeHome();
const clients = new Map<string, Client>();
const clientOf = (era: string): Client => clients.get(era) as Client;

beforeAll(async () => {
  const env = { TOOLWEAVER_APPROVAL: 'auto' };
  for (const era of eras) clients.set(era, (await connectClient(era, { home, env })).client);
  for (const [name, fields] of Object.entries(skills)) {
    const input = draft({ name, examples: [{ input: { x: 1 }, output: { y: 1 } }], ...fields });
    const saved = await clientOf('2025-11-25').callTool({ name: 'save_skill', arguments: input });
    if (saved.isError) throw new Error(textOf(saved));
  }
});

describe.each(eras)('an MCP client of %s', (era) => {
  it('speaks that version, and is told what the server is for', () => {
    expect(clientOf(era).getNegotiatedProtocolVersion()).toBe(era);
    expect(clientOf(era).getInstructions()).toContain('search_tools');
  });

  it('is shown the listed built-ins in their order first, then saved tools by name, all of them well formed', async () => {
    const { tools } = await clientOf(era).listTools();
    expect(tools.map((tool) => tool.name)).toEqual([...listedBuiltins, ...Object.keys(skills).sort()]);
    for (const tool of tools) {
      expect(tool.inputSchema.type, tool.name).toBe('object');
      expect(tool.outputSchema?.type ?? 'object', tool.name).toBe('object');
      expect(tool.description?.length, tool.name).toBeGreaterThan(0);
      expect(Object.values(tool.annotations ?? {}).every((hint) => ['boolean', 'string'].includes(typeof hint))).toBe(
        true,
      );
    }
  });

  it('gets an object as structured content and as text', async () => {
    const result = await clientOf(era).callTool({ name: 'double', arguments: { x: 21 } });
    expect(result).toMatchObject({ structuredContent: { y: 42 } });
    expect(JSON.parse(textOf(result))).toEqual({ y: 42 });
  });

  it('gets what is no object as text alone', async () => {
    const result = await clientOf(era).callTool({ name: 'lists', arguments: { x: 2 } });
    expect(result.structuredContent).toBeUndefined();
    expect(JSON.parse(textOf(result))).toEqual([2, null]);
  });

  it('gets a protocol error for an unknown tool, but a result to mend for one named inside call_tool', async () => {
    await expect(clientOf(era).callTool({ name: 'no_such' })).rejects.toMatchObject({ code: -32602 });
    const inside = await clientOf(era).callTool({ name: 'call_tool', arguments: { name: 'no_such', input: {} } });
    expect(inside.isError).toBe(true);
    expect(textOf(inside)).toMatch(/^\[unknown_tool\] There is no tool named "no_such"/);
  });

  it('reads an error as its code, message, findings and hint', async () => {
    const wrong = await clientOf(era).callTool({ name: 'double', arguments: { x: 'two' } });
    expect(textOf(wrong)).toMatch(/^\[bad_input\] double: input\.x .*\nhint: /);
    const thrown = await clientOf(era).callTool({ name: 'throws', arguments: { x: 3 } });
    expect(textOf(thrown)).toMatch(/^\[skill_failed\] .*meant to.*line 1/);
    const refused = await clientOf(era).callTool({
      name: 'save_skill',
      arguments: draft({ name: 'Not A Name', code: 'export default (' }),
    });
    expect(refused.isError).toBe(true);
    const [first, ...rest] = textOf(refused).split('\n');
    expect(first).toMatch(/^\[check_failed\] /);
    expect(rest.filter((line) => /^- error in (name|code)/.test(line)).length).toBeGreaterThanOrEqual(2);
    expect(rest.at(-1)).toMatch(/^hint: /);
  });

  it('pages through a result that is too large for a model, which names the tool that was called', async () => {
    for (const call of [
      { name: 'large', arguments: { x: 8 } },
      { name: 'call_tool', arguments: { name: 'large@^1', input: { x: 8 } } },
    ]) {
      const result = await clientOf(era).callTool(call);
      expect(result.isError).toBe(true);
      expect(textOf(result)).toMatch(/^\[too_large\] large is done;/);
      const runId = /"run_id": "([\w-]+)"/.exec(textOf(result))?.[1];
      const page = await clientOf(era).callTool({
        name: 'get_run',
        arguments: { run_id: runId, path: 'text', limit: 5 },
      });
      expect(page.structuredContent).toMatchObject({ tool: 'large', total: 80_000, value: 'xxxxx' });
    }
  });
});

describe('progress', () => {
  it('goes only upwards, in numbers, before the result, and only to who gave a token', async () => {
    const server = await startServer({ home });
    await server.callTool('counts', { x: 1 });
    const told = () =>
      server.lines.map((line) => JSON.parse(line)).filter(({ method }) => method?.endsWith('progress'));
    expect(told()).toEqual([]);
    await server.callTool('counts', { x: 1 }, { progressToken: 'mine' });
    expect(told().map(({ params }) => params)).toEqual([
      { progressToken: 'mine', progress: 1, total: 3, message: 'step 1' },
      { progressToken: 'mine', progress: 2, total: 3, message: 'step 2' },
      { progressToken: 'mine', progress: 3, message: 'step 3' },
    ]);
    expect(server.lines.at(-1)).toContain('"result"');
  });

  it('is thinned out when a skill reports every step of a loop', async () => {
    const server = await startServer({ home });
    await server.callTool('floods', { x: 1 }, { progressToken: 'mine' });
    const told = server.lines.filter((line) => line.includes('notifications/progress'));
    expect(told.length).toBeGreaterThanOrEqual(100);
    expect(told.length).toBeLessThan(1_000);
  });
});

describe('a cancelled call', () => {
  it('stops in the sandbox as well, in every era', async () => {
    await Promise.all(
      eras.map(async (era) => {
        const stop = new AbortController();
        const onprogress = () => stop.abort('enough');
        const call = clientOf(era).callTool(
          { name: 'patient', arguments: { x: 1 } },
          { onprogress, signal: stop.signal },
        );
        await expect(call).rejects.toThrow();
      }),
    );
    const file = new Database(join(home, 'toolweaver.db'), { readonly: true });
    const calls = (where: string) => file.prepare(`select * from calls where ${where}`).all();
    expect(await until(() => calls(`tool = 'patient' and code = 'cancelled'`).length === eras.length)).toBe(true);
    const since = Date.now();
    // Time in which calls that went on would make more of these.
    for (let n = 0; n < 10; n++) await clientOf('2025-11-25').callTool({ name: 'works', arguments: { x: 150_000 } });
    expect(await until(() => calls(`tool = 'works' and parent is null and at >= ${since}`).length === 10)).toBe(true);
    expect(calls(`tool = 'works' and parent is not null and at >= ${since}`)).toEqual([]);
    file.close();
  });
});
