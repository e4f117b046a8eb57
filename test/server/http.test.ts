import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { listedBuiltins } from '../../src/tools/index.ts';
import { draft } from '../helpers/app.ts';
import {
  endlessTool,
  type HttpApp,
  httpApp,
  httpEras,
  initialize,
  mcpHeaders,
  modernRequest,
  putTool,
  send,
} from '../helpers/http.ts';
import { textOf, until } from '../helpers/process.ts';

const codesOf = async (app: HttpApp, tool: string): Promise<string[]> => {
  await app.sink.flush();
  const rows = await app.database.read.selectFrom('calls').select('code').where('tool', '=', tool).execute();
  return rows.map((row) => row.code);
};

/** A 2025-era session begun by hand. */
async function beginSession(app: HttpApp, token: string): Promise<string> {
  const { status, headers, text } = await app.send('/mcp', token, initialize);
  if (status !== 200) throw new Error(text);
  return String(headers['mcp-session-id']);
}

const inSession = (id: string) => ({ ...mcpHeaders, 'mcp-session-id': id, 'mcp-protocol-version': '2025-11-25' });
const listTools = { jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} };

describe.each(httpEras)('a client of %s over HTTP', (era) => {
  it('reads every page, saves, calls what it saved, and hears that the list changed', async () => {
    const app = await httpApp();
    const names = Array.from({ length: 450 }, (_, i) => `tool_${String(i).padStart(3, '0')}`);
    for (const name of names) putTool(app, name, () => ({}));
    let changes = 0;
    const onChanged = () => void changes++;
    const client = await app.client(era, await app.tokenFor('ada'), { listChanged: { tools: { onChanged } } });
    expect(client.getNegotiatedProtocolVersion()).toBe(era);
    expect((await client.listTools()).tools.map(({ name }) => name)).toEqual([...listedBuiltins, ...names]);

    const saved = await client.callTool({ name: 'save_skill', arguments: draft() });
    expect(saved.structuredContent, textOf(saved)).toMatchObject({ state: 'active' });
    expect((await client.callTool({ name: 'double', arguments: { x: 21 } })).structuredContent).toEqual({ y: 42 });
    expect(await until(() => changes > 0)).toBe(true);
    expect((await client.listTools()).tools.map(({ name }) => name)).toContain('double');
  });

  it('gets errors as results, unknown names as protocol errors, and its own name on what it made', async () => {
    const app = await httpApp();
    putTool(app, 'whoami', (_, { request }) => ({ principal: request.principal.id, via: request.via }));
    const client = await app.client(era, await app.tokenFor('ada'));
    expect((await client.callTool({ name: 'whoami' })).structuredContent).toEqual({
      principal: 'agent:ada',
      via: 'mcp',
    });
    const wrong = await client.callTool({ name: 'describe_tool', arguments: { nam: 'x' } });
    expect([wrong.isError, textOf(wrong)]).toEqual([true, expect.stringMatching(/^\[bad_input\]/)]);
    await expect(client.callTool({ name: 'no_such' })).rejects.toMatchObject({ code: -32602 });
  });

  it('hears of progress while the call goes on', async () => {
    const app = await httpApp();
    let go: (value: object) => void = () => {};
    putTool(app, 'steps', (_, { progress }) => {
      progress({ done: 1, total: 2 });
      return new Promise((resolve) => {
        go = resolve;
      });
    });
    const client = await app.client(era, await app.tokenFor('ada'));
    const heard: unknown[] = [];
    const call = client.callTool({ name: 'steps' }, { onprogress: (step) => heard.push(step) });
    expect(await until(() => heard.length > 0)).toBe(true);
    go({ ended: true });
    expect((await call).structuredContent).toEqual({ ended: true });
    expect(heard).toEqual([{ progress: 1, total: 2 }]);
  });

  it('stops the work when it cancels, and when it goes', async () => {
    const app = await httpApp();
    const endless = endlessTool(app);
    const token = await app.tokenFor('ada');
    const client = await app.client(era, token);
    const cancel = new AbortController();
    const cancelled = client.callTool({ name: 'endless' }, { signal: cancel.signal });
    expect(await until(() => endless.begun() === 1)).toBe(true);
    cancel.abort('enough');
    await expect(cancelled).rejects.toThrow();
    expect(await until(() => endless.stopped() === 1)).toBe(true);

    const leaving = await app.client(era, token);
    const left = leaving.callTool({ name: 'endless' });
    left.catch(() => {});
    expect(await until(() => endless.begun() === 2)).toBe(true);
    await leaving.close();
    expect(await until(() => endless.stopped() === 2)).toBe(true);
    expect(await until(async () => (await codesOf(app, 'endless')).length === 2)).toBe(true);
    expect(await codesOf(app, 'endless')).toEqual(['cancelled', 'cancelled']);
  });

  it('is one of 200 that listen at once, and each hears of one change', async () => {
    const app = await httpApp();
    const token = await app.tokenFor('ada');
    const streams = await Promise.all(Array.from({ length: 200 }, () => listen(app, era, token)));
    app.catalog.changed('local', ['anything']);
    app.catalog.changed('local', ['another']);
    expect(await until(() => streams.every((stream) => stream.heard().includes('list_changed')))).toBe(true);
    await sleep(150);
    expect(streams.map((stream) => stream.heard().split('tools/list_changed').length - 1)).toEqual(
      streams.map(() => 1),
    );
    const plain = await app.client(era, token);
    expect((await plain.listTools()).tools.length).toBeGreaterThan(0);
  });
});

/** An open stream of events: what has come on it so far, and whether the server has ended it. */
async function listen(app: HttpApp, era: string, token: string) {
  const headers: Record<string, string> = { ...mcpHeaders, authorization: `Bearer ${token}` };
  const asked =
    era === '2026-07-28'
      ? modernRequest('subscriptions/listen', { notifications: { toolsListChanged: true } }, 'listen')
      : undefined;
  const init = asked
    ? {
        method: 'POST',
        headers: { ...asked.headers, ...headers, 'content-type': 'application/json' },
        body: JSON.stringify(asked.body),
      }
    : { headers: { ...headers, ...inSession(await beginSession(app, token)) } };
  const response = await fetch(`${app.url}/mcp`, init);
  let heard = '';
  let isOver = false;
  const read = async () => {
    for await (const chunk of response.body ?? []) heard += Buffer.from(chunk).toString('utf8');
  };
  void read()
    .catch(() => {})
    .finally(() => {
      isOver = true;
    });
  return { status: response.status, heard: () => heard, isOver: () => isOver };
}

describe('subscriptions', () => {
  it('have a bound, beyond which the answer is an error and nothing breaks', async () => {
    const app = await httpApp({ maxSubscriptions: 3 });
    const token = await app.tokenFor('ada');
    for (let n = 0; n < 3; n++) await listen(app, '2026-07-28', token);
    const refused = await app.send(
      '/mcp',
      token,
      modernRequest('subscriptions/listen', { notifications: { toolsListChanged: true } }),
    );
    expect(refused.json.error.message).toMatch(/limit/i);
    expect((await app.send('/mcp', token, modernRequest('tools/list'))).status).toBe(200);
  });

  it('hear nothing of another tenant', async () => {
    const app = await httpApp();
    const ours = await Promise.all(
      httpEras.map(async (era) => listen(app, era, await app.tokenFor('ada', { tenant: 'ours' }))),
    );
    const theirs = await Promise.all(
      httpEras.map(async (era) => listen(app, era, await app.tokenFor('ada', { tenant: 'theirs' }))),
    );
    app.catalog.changed('theirs', ['anything']);
    expect(await until(() => theirs.every((stream) => stream.heard().includes('list_changed')))).toBe(true);
    await sleep(150);
    expect(ours.map((stream) => stream.heard().includes('list_changed'))).toEqual([false, false]);
  });
});

describe('a session', () => {
  it('is found by its own principal only, and unknown ones are 404', async () => {
    const app = await httpApp();
    const [ada, bob] = await Promise.all([app.tokenFor('ada'), app.tokenFor('bob')]);
    const id = await beginSession(app, ada);
    const ask = (token: string, session: string) =>
      app.send('/mcp', token, { headers: inSession(session), body: listTools });
    expect((await ask(ada, id)).status).toBe(200);
    for (const answer of [await ask(bob, id), await ask(ada, 'c0ffee'), await ask(ada, `${id}, ${id}`)]) {
      expect(answer.status).toBe(404);
      expect(answer.json.error).toMatchObject({ code: -32001, message: expect.stringContaining('no such session') });
    }
    expect((await app.send('/mcp', bob, { method: 'DELETE', headers: inSession(id) })).status).toBe(404);
    expect((await app.send('/mcp', bob, { headers: inSession(id) })).status).toBe(404);
  });

  it('keeps to the rights that it began with: another token of the same principal needs its own', async () => {
    const app = await httpApp();
    const strong = await app.tokenFor('ada', { roles: ['author'] });
    const weak = await app.tokenFor('ada', { roles: ['viewer'] });
    const narrow = await app.tokenFor('ada', { roles: ['author'], tools: ['csv_*'] });
    const elsewhere = await app.tokenFor('ada', { roles: ['author'], tenant: 'other' });
    const id = await beginSession(app, strong);
    for (const token of [weak, narrow, elsewhere]) {
      expect((await app.send('/mcp', token, { headers: inSession(id), body: listTools })).status).toBe(404);
    }
    expect((await app.send('/mcp', strong, { headers: inSession(id), body: listTools })).status).toBe(200);
  });

  it('is of no use once its token is revoked', async () => {
    const app = await httpApp();
    const token = await app.tokenFor('ada');
    const id = await beginSession(app, token);
    await app.database.write((trx) => trx.updateTable('tokens').set({ revoked_at: 1 }).execute());
    expect((await app.send('/mcp', token, { headers: inSession(id), body: listTools })).status).toBe(401);
  });

  it('ends at DELETE, with its stream', async () => {
    const app = await httpApp();
    const token = await app.tokenFor('ada');
    const id = await beginSession(app, token);
    const stream = await fetch(`${app.url}/mcp`, {
      headers: { ...inSession(id), authorization: `Bearer ${token}` },
    });
    expect((await app.send('/mcp', token, { method: 'DELETE', headers: inSession(id) })).status).toBe(200);
    expect(await stream.text()).toBe('');
    expect((await app.send('/mcp', token, { headers: inSession(id), body: listTools })).status).toBe(404);
  });

  it('is one of 500 at once, and one over the bound puts the longest unused one out', async () => {
    const app = await httpApp({ sessions: { count: 500, idleMs: 60_000 } });
    const token = await app.tokenFor('ada');
    const isThere = async (id: string) =>
      (await app.send('/mcp', token, { headers: inSession(id), body: listTools })).status === 200;
    const first = await beginSession(app, token);
    await sleep(10);
    const others = await Promise.all(Array.from({ length: 499 }, () => beginSession(app, token)));
    expect(new Set([first, ...others]).size).toBe(500);
    const more = await beginSession(app, token);
    expect([await isThere(more), await isThere(first), await isThere(others[0] ?? '')]).toEqual([true, false, true]);
  });

  it('stays within the bound also when many begin at the same moment', async () => {
    const app = await httpApp({ sessions: { count: 5, idleMs: 60_000 } });
    const token = await app.tokenFor('ada');
    const begun = await Promise.all(Array.from({ length: 40 }, () => app.send('/mcp', token, initialize)));
    const alive = await Promise.all(
      begun.map(async ({ headers }) => {
        const id = String(headers['mcp-session-id']);
        return (await app.send('/mcp', token, { headers: inSession(id), body: listTools })).status === 200;
      }),
    );
    expect(alive.filter((is) => is).length).toBeLessThanOrEqual(5);
    for (const { status } of begun) expect([200, 404, 503]).toContain(status);
  });

  it('is refused as busy where all others are in use, and there is room again once one ends', async () => {
    const app = await httpApp({ sessions: { count: 2, idleMs: 60_000 } });
    const token = await app.tokenFor('ada');
    const streams = [await listen(app, '2025-11-25', token), await listen(app, '2025-11-25', token)];
    const refused = await app.send('/mcp', token, initialize);
    expect([refused.status, refused.json.error.message]).toEqual([503, expect.stringContaining('2 sessions')]);
    expect(streams.map((stream) => stream.isOver())).toEqual([false, false]);
    await app.stop();
    expect(await until(() => streams.every((stream) => stream.isOver()))).toBe(true);
  });

  it('is not kept for a client whose initialize is refused', async () => {
    const app = await httpApp({ sessions: { count: 1, idleMs: 60_000 } });
    const token = await app.tokenFor('ada');
    const id = await beginSession(app, token);
    const refused = await app.send('/mcp', token, { ...initialize, headers: { accept: 'text/plain' } });
    expect(refused.status).toBe(406);
    // That one had put the first out; nothing stands in its place.
    expect((await app.send('/mcp', token, { headers: inSession(id), body: listTools })).status).toBe(404);
    expect(await until(async () => (await app.send('/mcp', token, initialize)).status === 200)).toBe(true);
  });

  it('is asked for by what needs one', async () => {
    const app = await httpApp();
    const token = await app.tokenFor('ada');
    const answer = await app.send('/mcp', token, { headers: mcpHeaders, body: listTools });
    expect([answer.status, answer.json.error.code]).toEqual([400, -32600]);
    expect((await app.send('/mcp', token, { headers: mcpHeaders })).status).toBe(400);
    const modern = await app.send('/mcp', token, { headers: { 'mcp-protocol-version': '2026-07-28' } });
    expect([modern.status, modern.headers.allow]).toEqual([405, 'POST']);
  });
});

describe('a request whose header and body disagree', () => {
  it.each([
    ['Mcp-Method', { 'mcp-method': 'tools/call' }],
    ['MCP-Protocol-Version', { 'mcp-protocol-version': '2025-11-25' }],
  ])('is a header mismatch: %s', async (_, headers) => {
    const app = await httpApp();
    const asked = modernRequest('tools/list');
    const answer = await app.send('/mcp', await app.tokenFor('ada'), {
      ...asked,
      headers: { ...asked.headers, ...headers },
    });
    expect([answer.status, answer.json.error.code, answer.json.id]).toEqual([400, -32020, 1]);
  });

  it('is a header mismatch: Mcp-Name', async () => {
    const app = await httpApp();
    const asked = modernRequest('tools/call', { name: 'search_tools', arguments: { queries: ['x'] } });
    const token = await app.tokenFor('ada');
    expect((await app.send('/mcp', token, asked)).status).toBe(200);
    const answer = await app.send('/mcp', token, { ...asked, headers: { ...asked.headers, 'mcp-name': 'double' } });
    expect([answer.status, answer.json.error.code]).toEqual([400, -32020]);
  });

  it('is of no version that is spoken here', async () => {
    const app = await httpApp();
    const token = await app.tokenFor('ada');
    const asked = JSON.stringify(modernRequest('tools/list').body).replace('2026-07-28', '2031-01-01');
    const answer = await app.send('/mcp', token, {
      body: asked,
      headers: { ...modernRequest('tools/list').headers, 'mcp-protocol-version': '2031-01-01' },
    });
    expect([answer.status, answer.json.error.code]).toEqual([400, -32022]);
    const old = { ...inSession(await beginSession(app, token)), 'mcp-protocol-version': '1999-01-01' };
    expect((await app.send('/mcp', token, { headers: old, body: listTools })).status).toBe(400);
  });
});

describe('the end of the server', () => {
  it.each(httpEras)('lets a call of a %s client end, and takes no more', async (era) => {
    const app = await httpApp({ graceMs: 10_000 });
    let go: (value: object) => void = () => {};
    let begun = 0;
    putTool(app, 'slow', () => {
      begun++;
      return new Promise((resolve) => {
        go = resolve;
      });
    });
    const token = await app.tokenFor('ada');
    const client = await app.client(era, token);
    await listen(app, era, token);
    const call = client.callTool({ name: 'slow' });
    expect(await until(() => begun === 1)).toBe(true);
    const stopped = app.stop();
    await expect(app.send('/healthz')).rejects.toThrow('ECONNREFUSED');
    go({ whole: true });
    expect((await call).structuredContent).toEqual({ whole: true });
    const since = Date.now();
    await stopped;
    // The open stream, and the connections that are kept, are no reason to wait for the grace.
    expect(Date.now() - since).toBeLessThan(5_000);
  });

  it.each(httpEras)('cancels a call of a %s client that does not end', async (era) => {
    const app = await httpApp({ graceMs: 100 });
    const endless = endlessTool(app);
    const client = await app.client(era, await app.tokenFor('ada'));
    const call = client.callTool({ name: 'endless' });
    call.catch(() => {});
    expect(await until(() => endless.begun() === 1)).toBe(true);
    await app.stop();
    expect(await until(() => endless.stopped() === 1)).toBe(true);
  });

  it('answers requests on connections that are still open with 503', async () => {
    const app = await httpApp({ graceMs: 10_000 });
    const endless = endlessTool(app);
    const token = await app.tokenFor('ada');
    const body = '{}';
    const head = (path: string) =>
      `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\n`;
    const whole = (path: string) => `${head(path)}content-length: ${body.length}\r\n\r\n${body}`;
    const { connect } = await import('node:net');
    const [kept, busy] = [connect(app.port, '127.0.0.1'), connect(app.port, '127.0.0.1')];
    let heard = '';
    kept.setEncoding('utf8').on('data', (text) => {
      heard += text;
    });
    // Half of a request is under way on it when the server is asked to end.
    kept.write(head('/v1/tools/search_tools'));
    busy.write(whole('/v1/tools/endless'));
    expect(await until(() => endless.begun() === 1)).toBe(true);
    const stopped = app.stop();
    kept.write(`content-length: ${body.length}\r\n\r\n${body}`);
    expect(await until(() => heard.includes('503'))).toBe(true);
    expect(heard).toMatch(/^HTTP\/1\.1 503 .*\r\n(.*\r\n)*connection: close/i);
    busy.destroy();
    await stopped;
    kept.destroy();
  });
});

describe('a client of neither era', () => {
  it.each([
    ['broken JSON', '{"jsonrpc":"2.0",', 400, -32700],
    ['JSON null', 'null', 400, -32600],
    ['a number', '42', 400, -32600],
    ['an empty batch', '[]', 400, -32600],
    ['a batch without a session', JSON.stringify([listTools, listTools]), 400, -32600],
    ['an object that is no message', '{}', 400, -32600],
    ['an empty body', '', 400, -32600],
  ])('is told what is wrong with %s', async (_, body, status, code) => {
    const app = await httpApp();
    const answer = await app.send('/mcp', await app.tokenFor('ada'), { headers: mcpHeaders, body });
    expect([answer.status, answer.json.error.code, answer.json.jsonrpc]).toEqual([status, code, '2.0']);
  });

  it('is told of a batch with initialize in it, and of one of old requests in a session', async () => {
    const app = await httpApp();
    const token = await app.tokenFor('ada');
    const mixed = [initialize.body, listTools];
    expect((await app.send('/mcp', token, { headers: mcpHeaders, body: mixed })).status).toBe(400);
    const id = await beginSession(app, token);
    const batch = await app.send('/mcp', token, { headers: inSession(id), body: [listTools, { ...listTools, id: 2 }] });
    expect(batch.status).toBe(200);
    expect(batch.text.match(/"result"/g)).toHaveLength(2);
  });

  it.each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'application/jsonp'])(
    'is refused with the type %s',
    async (type) => {
      const app = await httpApp();
      const token = await app.tokenFor('ada');
      const asked = { ...initialize, headers: { ...mcpHeaders, 'content-type': type } };
      const answer = await app.send('/mcp', token, asked);
      expect([answer.status, answer.json.error.code]).toEqual([415, -32000]);
    },
  );

  it('is heard with other forms of the JSON type', async () => {
    const app = await httpApp();
    const token = await app.tokenFor('ada');
    for (const type of ['application/json; charset=utf-8', 'Application/JSON']) {
      const asked = { ...initialize, headers: { ...mcpHeaders, 'content-type': type } };
      expect((await app.send('/mcp', token, asked)).status, type).toBe(200);
    }
  });

  it.each(['PUT', 'PATCH', 'HEAD'])('gets 405 for %s', async (method) => {
    const app = await httpApp();
    const answer = await send(app.url, '/mcp', await app.tokenFor('ada'), { method });
    expect([answer.status, answer.headers.allow]).toEqual([405, 'GET, POST, DELETE']);
  });
});
