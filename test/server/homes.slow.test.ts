import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@modelcontextprotocol/client';
import Database from 'better-sqlite3';
import { beforeAll, describe, expect, it } from 'vitest';
import { draft } from '../helpers/app.ts';
import { connectClient, eras, makeHome, type RawServer, runCli, startServer, until } from '../helpers/process.ts';

const home = makeHome();
const heard = new Map<string, number>();
const clients = new Map<string, Client>();
let one: RawServer;
let other: RawServer;

beforeAll(async () => {
  const watch = async (era: (typeof eras)[number]) => {
    const onChanged = () => void heard.set(era, (heard.get(era) ?? 0) + 1);
    clients.set(era, (await connectClient(era, { home, options: { listChanged: { tools: { onChanged } } } })).client);
  };
  [one, other] = await Promise.all([startServer({ home }), startServer({ home }), ...eras.map(watch)]);
});

const doubles = (name: string) => draft({ name });
const triples = (name: string) =>
  draft({
    name,
    code: 'export default (input) => ({ y: input.x * 3 });',
    examples: [{ input: { x: 2 }, output: { y: 6 } }],
  });

const call = async (server: RawServer, name: string): Promise<unknown> =>
  (await server.callTool(name, { x: 1 })).result.structuredContent;

interface Row {
  version: string;
  state: string;
}

const versionsOf = async (server: RawServer, name: string): Promise<Row[]> =>
  (await server.callTool('list_versions', { name })).result.structuredContent.versions;

describe('two servers on one home', () => {
  it('call at the next request what the other saved, approved or rolled back', async () => {
    await one.callTool('save_skill', doubles('shared'));
    expect(await call(other, 'shared')).toEqual({ y: 2 });
    await one.callTool('save_skill', triples('shared'));
    expect(await call(other, 'shared')).toEqual({ y: 3 });
    const { tools } = (await other.request('tools/list')).result;
    expect(tools.map((tool: { name: string }) => tool.name)).toContain('shared');

    const asked = await other.callTool('rollback', { name: 'shared', version: '1.0.0', reason: 'the first was right' });
    expect(asked.result.structuredContent).toMatchObject({ state: 'requested' });
    expect(await call(one, 'shared')).toEqual({ y: 3 });
    const { id } = asked.result.structuredContent.review;
    const approved = await runCli(['review', 'approve', id, '--yes'], { home, isTerminal: true });
    expect(approved.stdout).toContain('approved');
    expect(await Promise.all([call(one, 'shared'), call(other, 'shared')])).toEqual([{ y: 2 }, { y: 2 }]);
  });

  it('make versions of both, or refuse one, when they save the same name at once', async () => {
    const [first, second] = await Promise.all([
      one.callTool('save_skill', doubles('raced')),
      other.callTool('save_skill', triples('raced')),
    ]);
    const kept = [first, second].filter(({ result }) => !result.isError);
    expect(kept.length).toBeGreaterThanOrEqual(1);
    const [mine, theirs] = [await versionsOf(one, 'raced'), await versionsOf(other, 'raced')];
    expect(mine).toEqual(theirs);
    expect(mine.map(({ version }) => version).sort()).toEqual(
      kept.map(({ result }) => result.structuredContent.version).sort(),
    );
    expect(mine.filter(({ state }) => state === 'active')).toHaveLength(1);
    expect(await call(one, 'raced')).toEqual(await call(other, 'raced'));
  });

  it('keep one version when they save the same thing at once', async () => {
    const answers = await Promise.all([one, other].map((server) => server.callTool('save_skill', doubles('twice'))));
    for (const { result } of answers)
      expect(result.structuredContent).toMatchObject({ version: '1.0.0', state: 'active' });
    expect(await versionsOf(one, 'twice')).toHaveLength(1);
  });
});

describe('list_changed', () => {
  it('reaches clients of every era after a save of another process, without a request of theirs', async () => {
    const before = new Map(heard);
    await other.callTool('save_skill', doubles('announced'));
    for (const era of eras) {
      expect(await until(() => (heard.get(era) ?? 0) > (before.get(era) ?? 0)), era).toBe(true);
      const { tools } = (await clients.get(era)?.listTools()) ?? { tools: [] };
      expect(tools.map((tool) => tool.name)).toContain('announced');
    }
  });

  it('comes once for changes that follow each other closely', async () => {
    await one.callTool('save_skill', doubles('pressed'));
    await one.request('tools/list');
    const count = () => one.lines.filter((line) => line.includes('list_changed')).length;
    await sleep(300);
    const before = count();
    const library = new Database(join(home, 'toolweaver.db'));
    for (let n = 0; n < 20; n++) {
      library.exec('update generation set value = value + 1');
      library.exec(`update entries set generation = (select value from generation) where name = 'pressed'`);
      await one.request('tools/list');
    }
    library.close();
    expect(await until(() => count() > before)).toBe(true);
    await sleep(300);
    expect(count() - before).toBeLessThanOrEqual(10);
  });
});
