import { describe, expect, it } from 'vitest';
import type { CallEvent } from '../../src/analytics/events.ts';
import { createSqliteSink } from '../../src/analytics/sqlite-sink.ts';
import { mostUsed } from '../../src/analytics/usage.ts';
import { createLog } from '../../src/log.ts';
import { type Database, openDatabase } from '../../src/store/database.ts';
import { testApp } from '../helpers/app.ts';

const day = 86_400_000;

const event = (fields: Partial<CallEvent> = {}): CallEvent => ({
  id: Math.random().toString(36),
  at: Date.now(),
  tenant: 'local',
  tool: 'double',
  kind: 'skill',
  principal: 'agent:test',
  via: 'mcp',
  code: 'done',
  durationMs: 1.5,
  bytesIn: 7,
  bytesOut: 9,
  tokens: 3,
  ...fields,
});

async function sinkOver(database: Database) {
  const lines: string[] = [];
  const log = createLog('warn', { write: (line) => void lines.push(line) });
  const rows = () => database.read.selectFrom('calls').selectAll().orderBy('at').execute();
  return { sink: createSqliteSink(database, log, 90), rows, lines };
}

describe('the call events', () => {
  it('of a whole ToolWeaver say who called what, how it ended and from where', async () => {
    const app = await testApp();
    await app.save({ name: 'inner' });
    const code = 'export default async (input, ctx) => ctx.tools.inner({ x: input.x });';
    await app.save({ name: 'outer', code });
    await app.use('call_tool', { name: 'outer', input: { x: 2 } });
    await app.outcome('outer', { x: 'two' });
    await app.outcome('no_such_tool');
    await app.sink.flush();
    const rows = await app.database.read.selectFrom('calls').selectAll().where('tool', '!=', 'save_skill').execute();
    const outer = rows.find((row) => row.tool === 'outer' && row.code === 'done');
    expect(outer).toMatchObject({
      kind: 'skill',
      version: '1.0.0',
      principal: 'agent:test',
      via: 'system',
      parent: null,
    });
    expect(outer?.bytes_out).toBe('{"y":4}'.length);
    expect(rows).toContainEqual(
      expect.objectContaining({ tool: 'inner', code: 'done', via: 'skill', parent: outer?.id }),
    );
    expect(rows).toContainEqual(expect.objectContaining({ tool: 'outer', code: 'bad_input' }));
    expect(rows).toContainEqual(
      expect.objectContaining({ tool: 'no_such_tool', kind: 'unknown', code: 'unknown_tool' }),
    );
  });

  it('are written in batches, when a moment has passed or many wait, and at the end', async () => {
    const database = await openDatabase(':memory:');
    const { sink, rows } = await sinkOver(database);
    sink.record(event());
    expect(await rows()).toHaveLength(0);
    for (let n = 0; n < 200; n++) sink.record(event());
    await sink.flush();
    expect(await rows()).toHaveLength(201);
    sink.record(event({ version: '1.2.3', parent: 'p', search: 's', run: 'r', cost: 0.5 }));
    await sink.close();
    expect((await rows()).at(-1)).toMatchObject({ version: '1.2.3', parent: 'p', search: 's', run: 'r', cost: 0.5 });
    await database.close();
  });

  it('are forgotten after the days for which they are kept', async () => {
    const database = await openDatabase(':memory:');
    const { sink, rows } = await sinkOver(database);
    sink.record(event({ at: Date.now() - 91 * day }));
    sink.record(event({ at: Date.now() - 89 * day }));
    await sink.flush();
    expect(await rows()).toHaveLength(1);
    await sink.close();
    await database.close();
  });

  it('that cannot be kept cost one log line, another when they can again, and never a call', async () => {
    const database = await openDatabase(':memory:');
    const { sink, rows, lines } = await sinkOver(database);
    for (let times = 0; times < 2; times++) {
      sink.record(event({ id: 'same' }));
      sink.record(event({ id: 'same' }));
      await expect(sink.flush()).resolves.toBeUndefined();
    }
    expect(lines.map((line) => JSON.parse(line).msg)).toEqual([expect.stringContaining('cannot be kept')]);
    sink.record(event());
    await sink.flush();
    expect(await rows()).toHaveLength(1);
    expect(JSON.parse(lines[1] ?? '')).toMatchObject({ lost: 4, msg: 'call events are kept again' });
    sink.record(event());
    await sink.flush();
    expect(lines).toHaveLength(2);
    await database.close();
    sink.record(event());
    await expect(sink.close()).resolves.toBeUndefined();
  });

  it('can be switched off', async () => {
    const app = await testApp({ settings: { analyticsBackend: ['none'] } });
    await app.use('search_tools', { queries: ['x'] });
    await app.sink.flush();
    expect(await app.database.read.selectFrom('calls').selectAll().execute()).toEqual([]);
  });
});

describe('the most used tools', () => {
  it('are saved ones, by calls with success since a time, of one tenant', async () => {
    const database = await openDatabase(':memory:');
    const { sink } = await sinkOver(database);
    const count = (times: number, fields: Partial<CallEvent>) => {
      for (let n = 0; n < times; n++) sink.record(event(fields));
    };
    count(2, { tool: 'often' });
    count(1, { tool: 'b_once' });
    count(1, { tool: 'a_once' });
    count(5, { tool: 'fails', code: 'skill_failed' });
    count(5, { tool: 'long_ago', at: Date.now() - 40 * day });
    count(5, { tool: 'theirs', tenant: 'other' });
    count(5, { tool: 'search_tools', kind: 'builtin' });
    await sink.flush();
    const since = Date.now() - 30 * day;
    expect(await mostUsed(database.read, 'local', since, 10)).toEqual(['often', 'a_once', 'b_once']);
    expect(await mostUsed(database.read, 'local', since, 1)).toEqual(['often']);
    await database.close();
  });
});
