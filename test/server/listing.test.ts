import { describe, expect, it } from 'vitest';
import { annotationsOf, done, type Tool } from '../../src/catalog/tool.ts';
import { createLog } from '../../src/log.ts';
import { listedBuiltins } from '../../src/tools/index.ts';
import { draft, type TestApp, testApp } from '../helpers/app.ts';

const tenant = 'local';

/** Tools as a library of many entries would give them. */
const put = (app: TestApp, names: readonly string[], fields: Partial<Tool> = {}): void => {
  for (const name of names) {
    app.catalog.put(tenant, {
      name,
      kind: 'skill',
      title: name,
      description: `Does what ${name} does.`,
      input: { type: 'object' },
      annotations: annotationsOf('none'),
      version: '1.0.0',
      needs: 'call',
      risk: 'none',
      run: async () => done({}),
      ...fields,
    });
  }
};

const numbered = (count: number, prefix = 'tool'): string[] =>
  Array.from({ length: count }, (_, i) => `${prefix}_${String(i).padStart(4, '0')}`);

async function pages(app: TestApp, between?: (page: number) => void): Promise<string[][]> {
  const all: string[][] = [];
  for (let cursor: string | undefined; all.length < 100; ) {
    const { tools, nextCursor } = await app.listing.page(tenant, cursor);
    all.push(tools.map((tool) => tool.name));
    if (nextCursor === undefined) return all;
    between?.(all.length);
    cursor = nextCursor;
  }
  throw new Error('The pages do not end');
}

describe('pages of tools/list', () => {
  it('show each of many tools once, built-ins first, in the same order every time', async () => {
    const app = await testApp();
    const names = numbered(950);
    put(app, names.toReversed());
    const first = await pages(app);
    expect(first.length).toBeGreaterThan(4);
    expect(first.flat()).toEqual([...listedBuiltins, ...names]);
    expect(await pages(app)).toEqual(first);
  });

  it('neither repeat nor skip a tool when others come and go in between', async () => {
    const app = await testApp();
    const names = numbered(500);
    put(app, names);
    const seen = await pages(app, (page) => {
      put(app, [`aaa_new_${page}`, `zzz_new_${page}`]);
      app.catalog.remove(tenant, `tool_${String(page * 150).padStart(4, '0')}`);
    });
    const flat = seen.flat();
    expect(new Set(flat).size).toBe(flat.length);
    for (const name of names) if (app.catalog.get(tenant, name)) expect(flat).toContain(name);
    expect(flat).toContain('zzz_new_1');
  });

  it('stay under what a client takes in one message when the schemas are large', async () => {
    const app = await testApp();
    put(app, numbered(60), {
      description: 'd'.repeat(2_000),
      input: { type: 'object', description: 'x'.repeat(40_000) },
    });
    for (let cursor: string | undefined; ; ) {
      const page = await app.listing.page(tenant, cursor);
      expect(JSON.stringify(page).length).toBeLessThan(600_000);
      cursor = page.nextCursor;
      if (cursor === undefined) break;
    }
  });

  it.each([
    ['not of this server', 'bm9uc2Vuc2U'],
    ['not in base64url', '!!!'],
    ['with something behind it', 'bjp0b29sXzAwMDA='],
    ['empty', ''],
  ])('end at a cursor that is %s, in a protocol error', async (_, cursor) => {
    const app = await testApp();
    put(app, numbered(3));
    const client = await app.as('ada');
    const listing = client.request({ method: 'tools/list', params: { cursor } });
    await expect(listing).rejects.toMatchObject({ code: -32602, message: expect.stringContaining('cursor') });
  });

  it('go on behind a tool that was removed since', async () => {
    const app = await testApp();
    put(app, numbered(300));
    const { tools, nextCursor } = await app.listing.page(tenant, undefined);
    app.catalog.remove(tenant, tools.at(-1)?.name ?? '');
    const rest = await app.listing.page(tenant, nextCursor);
    expect(rest.tools[0]?.name).toBe(numbered(300)[tools.length - listedBuiltins.length]);
  });
});

describe('what hosts could not take', () => {
  it.each<[string, Partial<Tool>]>([
    ['a root that is no object', { input: { type: 'array' } }],
    ['a combinator at the root', { input: { type: 'object', anyOf: [{}] } }],
    ['a name of 47 characters', { name: 'n'.repeat(47) }],
    ['a description of over 2 KB', { description: 'd'.repeat(2_049) }],
    ['an output that is no object', { output: { type: 'string' } }],
    ['an annotation that is no hint', { annotations: { readOnlyHint: 'yes' } as unknown as Tool['annotations'] }],
  ])('is left out of the list with a log line: %s', async (_, fields) => {
    const lines: string[] = [];
    const app = await testApp({ log: createLog('warn', { write: (line) => void lines.push(line) }) });
    put(app, ['sound']);
    put(app, ['malformed'], fields);
    const names = (await pages(app)).flat();
    expect(names).toEqual([...listedBuiltins, 'sound']);
    await pages(app);
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      tool: fields.name ?? 'malformed',
      findings: [{ severity: 'error' }],
    });
  });
});

describe('exposure', () => {
  const shown = async (app: TestApp): Promise<string[]> => (await pages(app)).flat().slice(listedBuiltins.length);

  it('all lists every saved tool', async () => {
    const app = await testApp({ settings: { expose: 'all' } });
    put(app, numbered(45));
    expect(await shown(app)).toHaveLength(45);
  });

  it('pinned lists the pinned ones that exist, and nothing else', async () => {
    const app = await testApp({ settings: { expose: 'pinned', pinned: ['tool_0003', 'tool_0001', 'absent'] } });
    put(app, numbered(5));
    expect(await shown(app)).toEqual(['tool_0001', 'tool_0003']);
  });

  it('meta lists none, and all stay callable', async () => {
    const app = await testApp({ settings: { expose: 'meta' } });
    await app.save();
    expect(await shown(app)).toEqual([]);
    expect(await app.use('call_tool', { name: 'double', input: { x: 4 } })).toEqual({ y: 8 });
  });

  it('auto lists all up to 40 tools, beyond that the pinned and the most used ones', async () => {
    const few = await testApp({ settings: { expose: 'auto' } });
    put(few, numbered(40));
    expect(await shown(few)).toHaveLength(40);

    const many = await testApp({ settings: { expose: 'auto', pinned: ['tool_0050'] } });
    put(many, numbered(60));
    // Built-ins are listed anyway: however often they are called, they take nobody's place.
    for (let n = 0; n < 5; n++) await many.use('search_tools', { queries: ['x'] });
    await many.use('tool_0007');
    await many.use('call_tool', { name: 'tool_0042', input: {} });
    await many.sink.flush();
    expect(await shown(many)).toEqual(['tool_0007', 'tool_0042', 'tool_0050']);
  });

  it('auto gives its 40 places to saved tools, not to built-ins that are used more often', async () => {
    const app = await testApp({ settings: { expose: 'auto' } });
    put(app, numbered(60));
    for (const name of numbered(40)) await app.use(name);
    for (const name of ['list_reviews', 'search_tools']) {
      for (let n = 0; n < 3; n++) await app.use(name, name === 'search_tools' ? { queries: ['x'] } : {});
    }
    await app.sink.flush();
    expect(await shown(app)).toEqual(numbered(40));
  });

  it('shows a saved skill with its title and description', async () => {
    const app = await testApp({ settings: { expose: 'all' } });
    await app.save({ name: 'later' });
    const { tools } = await (await app.as('ada')).listTools();
    expect(tools.at(-1)).toMatchObject({ name: 'later', description: draft().description, title: 'Later' });
  });
});
