import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createKeyring } from '../../src/secrets/keyring.ts';
import { setSecret } from '../../src/secrets/table.ts';
import { person, type TestApp, temporaryFolder, testApp } from '../helpers/app.ts';
import { skill } from '../helpers/drafts.ts';
import { openWorld } from '../helpers/world.ts';

const lenient = { approval: 'auto', sandboxThreads: 1 } as const;

async function open(settings: Record<string, unknown> = {}) {
  const world = openWorld();
  const home = temporaryFolder();
  const app = await testApp({ settings: { ...lenient, home, ...settings }, transport: world.transport });
  return { app, world, home };
}

const save = (app: TestApp, name: string, body: string, capabilities: object, more: object = {}) =>
  app.use('save_skill', skill(name, body, { capabilities, ...more }));

describe('a skill that asks a server', () => {
  it('sends what it says, gets text, JSON and bytes, and is counted by host and size', async () => {
    const { app, world } = await open();
    const asked: string[] = [];
    await world.serve('https://api.example.com', (request, response) => {
      asked.push(`${request.method} ${request.url} ${request.headers['x-mine']}`);
      void bodyOf(request).then((body) => {
        if (request.url === '/bytes') return response.end(Buffer.from([0, 255, 1]));
        return response.writeHead(201, { 'x-theirs': 'yes' }).end(JSON.stringify({ body }));
      });
    });
    const body = `
      const a = await ctx.fetch('https://api.example.com/a', { method: 'POST', headers: { 'x-mine': '1' }, body: 'grüße' });
      const b = await ctx.fetch('https://api.example.com/b', { method: 'POST', body: new Uint8Array([103, 114]) });
      const c = await ctx.fetch('https://api.example.com/bytes');
      return { a: await a.json(), status: a.status, ok: a.ok, theirs: a.headers['x-theirs'], b: await b.text(), c: [...(await c.bytes())] };`;
    await save(app, 'asks', body, { net: ['api.example.com'] });
    expect(await app.use('asks')).toEqual({
      a: { body: 'grüße' },
      status: 201,
      ok: true,
      theirs: 'yes',
      b: '{"body":"gr"}',
      c: [0, 255, 1],
    });
    expect(asked).toEqual(['POST /a 1', 'POST /b undefined', 'GET /bytes undefined']);
    await app.sink.flush();
    const events = await app.database.read
      .selectFrom('calls')
      .selectAll()
      .where('kind', '=', 'request')
      .orderBy('at')
      .execute();
    expect(events.map(({ tool, code, bytes_in }) => [tool, code, bytes_in])).toEqual([
      ['POST api.example.com', 'done', 7],
      ['POST api.example.com', 'done', 2],
      ['GET api.example.com', 'done', 0],
    ]);
  });

  it('reaches nothing that it did not declare, whatever it computes, and may catch that', async () => {
    const { app, world } = await open();
    const body = `
      try { await ctx.fetch(input.url, { method: input.method }); return 'reached'; }
      catch (e) { return [e.name, e.code, e.tool]; }`;
    await save(app, 'asks', body, { net: ['GET api.example.com', '10.0.0.9'] });
    for (const [url, method] of [
      ['https://evil.test/', 'GET'],
      ['https://api.example.com/', 'POST'],
      ['https://api.example.com:8443/', 'GET'],
      ['http://169.254.169.254/', 'GET'],
      ['http://2130706433/', 'GET'],
      ['file:///etc/passwd', 'GET'],
    ])
      expect(await app.use('asks', { url, method })).toMatchObject(['ToolError', expect.any(String), 'ctx.fetch']);
    expect(world.connections).toEqual([]);
  });

  it('has a secret put into its header by name, and never sees it, also where the server echoes it', async () => {
    const { app, world } = await open();
    const draft = { name: 'TOKEN', value: 'correct-horse-battery', hosts: ['api.example.com'] };
    await setSecret(app.database, createKeyring(app.config), person, draft, Date.now());
    const heard: (string | undefined)[] = [];
    await world.serve('https://api.example.com', (request, response) => {
      heard.push(request.headers.authorization);
      response.end(
        `you said ${request.headers.authorization} ${Buffer.from('correct-horse-battery').toString('base64')}`,
      );
    });
    const body = `
      const answer = await ctx.fetch('https://api.example.com/', { headers: { authorization: 'Bearer {{secret:TOKEN}}' } });
      const text = await answer.text();
      ctx.log(text);
      ctx.progress(1, 1, text);
      if (input.fails) throw new Error(text);
      return { text, length: text.length };`;
    await save(app, 'asks', body, { net: ['GET api.example.com'], secrets: ['TOKEN'] });
    const told: unknown[] = [];
    const done = await app.use('asks', {}, { progress: (one) => told.push(one) });
    const failed = await app.outcome('asks', { fails: true });
    expect(heard[0]).toBe('Bearer correct-horse-battery');
    expect(done).toMatchObject({ text: expect.stringContaining('[secret:TOKEN]') });
    const all = JSON.stringify([done, failed, told]);
    expect(all).not.toMatch(/correct-horse|Y29ycmVjdC1ob3Jz/);
    expect(told).toHaveLength(1);
    await app.sink.flush();
    const rows = await app.database.read.selectFrom('calls').selectAll().execute();
    expect(JSON.stringify(rows)).not.toContain('correct-horse');
  });

  it('is checked on stubs, and touches no server while nobody has approved it', async () => {
    const { app, world } = await open({ approval: 'risk' });
    const body = "return (await (await ctx.fetch('https://api.example.com/x')).json()).n + 1;";
    const examples = [
      { input: {}, output: 42, stubs: { 'ctx.fetch': { 'GET https://api.example.com/x': { n: 41 } } } },
    ];
    expect(await save(app, 'asks', body, { net: ['GET api.example.com'] }, { examples })).toMatchObject({
      state: 'pending',
      examples: '1 of 1 passed',
    });
    const without = [{ input: {}, output: 42 }];
    await expect(
      save(app, 'other', body, { net: ['GET api.example.com'] }, { examples: without }),
    ).rejects.toMatchObject({
      code: 'check_failed',
      details: {
        findings: [
          expect.objectContaining({
            rule: 'example_failed',
            message: expect.stringContaining('no stub for GET https://api.example.com/x'),
          }),
        ],
      },
    });
    expect(world.lookups).toEqual([]);
    await app.decide('approved');
    await world.serve('https://api.example.com', (_, response) => response.end('{"n":1}'));
    expect(await app.use('asks')).toBe(2);
  });

  it('reaches a server of its own network only where person and settings name it', async () => {
    const server = createServer((_, response) => response.end('near'));
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const app = await testApp({ settings: lenient });
    const body = 'return (await ctx.fetch(input.url)).text();';
    await save(app, 'near', body, { net: [`127.0.0.1:${port}`] });
    await save(app, 'far', body, { net: ['api.example.com'] });
    const url = `http://127.0.0.1:${port}/`;
    expect(await app.use('near', { url })).toBe('near');
    await expect(app.use('far', { url })).rejects.toMatchObject({
      code: 'skill_failed',
      message: expect.stringContaining('not_allowed'),
    });
  });
});

describe('a skill that keeps files', () => {
  const keeps = `
    await ctx.files.write('notes/a.txt', input.text);
    await ctx.files.append('notes/a.txt', new Uint8Array([33]));
    const bytes = await ctx.files.readBytes('notes/a.txt', { offset: 1 });
    return { text: await ctx.files.read('notes/a.txt'), bytes: bytes.length, files: await ctx.files.list(), removed: await ctx.files.remove(input.remove) };`;

  it('finds them again at its next call, whoever calls, and other skills and tenants do not', async () => {
    const { app, home } = await open();
    await save(app, 'keeps', keeps, { files: 'write' });
    expect(await app.use('keeps', { text: 'hé', remove: 'none' })).toEqual({
      text: 'hé!',
      bytes: 3,
      files: [{ path: 'notes/a.txt', size: 4 }],
      removed: false,
    });
    await save(app, 'reads', 'return (await ctx.files.list()).length;', { files: 'read' });
    expect(await app.use('reads')).toBe(0);
    const other = await testApp({ settings: { ...lenient, home } });
    await save(other, 'keeps', "return ctx.files.read('notes/a.txt');", { files: 'read' });
    expect(await other.use('keeps')).toBe('hé!');
  });

  it('may only read where it declared only that', async () => {
    const { app } = await open();
    const body =
      "const files = ctx.files; const f = files.read; try { await files['wri' + 'te']('a', 'b'); return 'wrote'; } catch (e) { return e.code; }";
    const findings = app.use('save_skill', skill('tricks', body, { capabilities: { files: 'read' } }));
    await expect(findings).rejects.toMatchObject({ code: 'check_failed' });
    await save(
      app,
      'asks',
      "try { await ctx.call('ctx.files.write', { path: 'a', text: 'b' }); } catch (e) { return e.message; }",
      { files: 'read' },
    ).catch((error) => expect(error).toMatchObject({ code: 'check_failed' }));
  });

  it('is checked in a folder of its own that the example fills, and that is thrown away', async () => {
    const { app } = await open({ approval: 'risk' });
    const body = "await ctx.files.append('log.txt', 'x'); return ctx.files.read('log.txt');";
    const examples = [
      { input: {}, output: 'ax', stubs: { 'ctx.files': { 'log.txt': 'a' } } },
      { input: {}, output: 'x' },
    ];
    expect(await save(app, 'logs', body, { files: 'write' }, { examples })).toMatchObject({
      state: 'pending',
      examples: '2 of 2 passed',
    });
    await app.decide('approved');
    expect(await app.use('logs')).toBe('x');
    expect(await app.use('logs')).toBe('xx');
  });

  it('may not reach out of it', async () => {
    const { app } = await open();
    await save(app, 'reads', 'try { return await ctx.files.read(input.path); } catch (e) { return e.code; }', {
      files: 'read',
    });
    for (const path of ['../../token', '/etc/passwd', 'a/../../b', '', 7, null])
      expect(await app.use('reads', { path })).toBe('bad_input');
  });
});

it('code without the capability is told what to declare, by every way to the host', async () => {
  const app = await testApp({ settings: lenient });
  const outcome = await app.use('run_code', {
    code: `const told = [];
      for (const name of ['ctx.fetch', 'ctx.files.read', 'ctx.files.write', 'ctx.files.list'])
        try { await ctx.call(name, { url: 'https://a.test', path: 'a', text: 'b' }); } catch (e) { told.push(e.code); }
      return told;`,
  });
  expect(outcome).toMatchObject({ result: Array(4).fill('unknown_tool') });
});

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) text += chunk;
  return text;
}
