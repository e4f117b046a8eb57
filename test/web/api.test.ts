import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { type ErrorCode, errorCodes, WeaverError } from '../../src/errors.ts';
import { draft } from '../helpers/app.ts';
import { type Answer, endlessTool, type HttpApp, httpApp, putTool } from '../helpers/http.ts';
import { until } from '../helpers/process.ts';

/** The status that each error leaves with. */
const statuses: Record<ErrorCode, number> = {
  bad_input: 400,
  bad_output: 502,
  unknown_tool: 404,
  not_found: 404,
  not_signed_in: 401,
  not_allowed: 403,
  needs_person: 403,
  not_approved: 409,
  name_taken: 409,
  check_failed: 422,
  conflict: 409,
  too_large: 413,
  limit_exceeded: 422,
  timed_out: 504,
  cancelled: 499,
  busy: 503,
  unavailable: 503,
  skill_failed: 422,
  seal_broken: 409,
  secret_unreadable: 503,
  not_supported: 501,
  database_newer: 503,
  database_damaged: 503,
  database_unavailable: 503,
  internal: 500,
};

async function signedIn(): Promise<{ app: HttpApp; token: string; call: Call }> {
  const app = await httpApp();
  const token = await app.tokenFor('ada');
  return {
    app,
    token,
    call: (tool, body = {}, headers = {}) => app.send(`/v1/tools/${tool}`, token, { body, headers }),
  };
}
type Call = (tool: string, body?: unknown, headers?: Record<string, string>) => Promise<Answer>;

describe('a tool called over JSON', () => {
  it('is saved, takes its input and answers with its output', async () => {
    const { call } = await signedIn();
    expect((await call('save_skill', draft())).json).toMatchObject({ name: 'double', state: 'active' });
    const answer = await call('double', { x: 21 });
    expect([answer.status, answer.json]).toEqual([200, { y: 42 }]);
    expect(answer.headers).toMatchObject({
      'content-type': 'application/json',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    });
    for (const version of ['double@1.0.0', 'double@^1', 'double%401'])
      expect((await call(version, { x: 1 })).json).toEqual({ y: 2 });
    expect((await call('call_tool', { name: 'double', input: { x: 4 } })).json).toEqual({ y: 8 });
  });

  it('may answer with any JSON value', async () => {
    const { app, call } = await signedIn();
    for (const [name, value] of Object.entries({
      list: [1, 'two', null],
      text: 'só',
      number: 0,
      no: false,
      nothing: null,
    })) {
      putTool(app, name, () => undefined, { run: async () => ({ status: 'done', value }) });
      const answer = await call(name);
      expect([answer.status, answer.json]).toEqual([200, value]);
    }
    putTool(app, 'unset', () => undefined, { run: async () => ({ status: 'done', value: undefined }) });
    expect((await call('unset')).json).toBeNull();
  });

  it('takes no input for an empty one', async () => {
    const { app, token } = await signedIn();
    putTool(app, 'echo', (input) => ({ input }));
    for (const body of [undefined, '', '{}'])
      expect((await app.send('/v1/tools/echo', token, { method: 'POST', body })).json, body).toEqual({ input: {} });
    expect((await app.send('/v1/tools/echo', token, { body: 'null' })).status).toBe(400);
  });

  it.each(Object.entries(statuses) as [ErrorCode, number][])(
    'leaves an error %s as a problem of status %i',
    async (code, status) => {
      const { app, call } = await signedIn();
      putTool(app, 'fails', () => {
        throw new WeaverError(code, 'What happened.', {
          hint: 'What to do.',
          details: { limit: 'cpu' },
          cause: new Error('inside'),
        });
      });
      const answer = await call('fails');
      expect(answer.status).toBe(status);
      expect(answer.headers['content-type']).toBe('application/problem+json');
      expect(answer.json).toEqual({
        type: `urn:toolweaver:error:${code}`,
        title: code,
        status,
        detail: 'What happened.',
        hint: 'What to do.',
        details: { limit: 'cpu' },
      });
      expect(answer.headers['www-authenticate'] !== undefined).toBe(status === 401);
    },
  );

  it('has a status for every error that there is', () => {
    expect(Object.keys(statuses).sort()).toEqual(Object.keys(errorCodes).sort());
  });

  it('is not found by a name that nothing has, and near names are told', async () => {
    const { app, call } = await signedIn();
    putTool(app, 'csv_summary', () => ({}));
    const answer = await call('csv_sum');
    expect([answer.status, answer.json.title, answer.json.details.similar]).toEqual([
      404,
      'unknown_tool',
      ['csv_summary'],
    ]);
    for (const name of [
      '',
      '%00',
      'a%2Fb',
      '%',
      '__proto__',
      'constructor',
      'csv_summary/',
      'csv_summary/x',
      'x'.repeat(3_000),
    ])
      expect((await call(name)).status, name.slice(0, 20)).toBe(404);
    expect((await call('csv_summary@nonsense')).status).toBe(400);
    expect((await call('csv_summary@9')).status).toBe(404);
  });

  it('keeps a fault of its own to itself', async () => {
    const { app, call } = await signedIn();
    putTool(app, 'fails', () => {
      throw new TypeError('x is not a function at /home/ada');
    });
    const answer = await call('fails');
    expect([answer.status, answer.json.title]).toEqual([500, 'internal']);
    expect(answer.text).not.toContain('ada');
  });

  it('says what is wrong with an input, and with a draft', async () => {
    const { call } = await signedIn();
    await call('save_skill', draft());
    const wrong = await call('double', { x: 'two' });
    expect([wrong.status, wrong.json.details.problems]).toEqual([400, [expect.stringContaining('input.x')]]);
    const refused = await call('save_skill', draft({ name: 'Not A Name' }));
    expect([refused.status, refused.json.details.findings.length]).toEqual([422, expect.any(Number)]);
  });
});

describe('a call that takes long', () => {
  it.each(['respond-async', 'Respond-Async, wait=0', 'wait=0', 'foo; bar="x", respond-async'])(
    'goes on in the background when the client prefers so: %s',
    async (prefer) => {
      const { app, token, call } = await signedIn();
      let go: (value: object) => void = () => {};
      putTool(
        app,
        'slow',
        ({ n }) =>
          new Promise((resolve) => {
            go = () => resolve({ n });
          }),
      );
      const begun = await call('slow', { n: 7 }, { prefer });
      expect([begun.status, begun.json]).toEqual([202, { run_id: expect.stringMatching(/^run_/), status: 'running' }]);
      expect(begun.headers.location).toBe(`/v1/runs/${begun.json.run_id}`);
      const run = () => app.send(String(begun.headers.location), token);
      expect((await run()).json).toMatchObject({ tool: 'slow', status: 'running', run_id: begun.json.run_id });
      go({});
      expect(await until(async () => (await run()).json.status === 'done')).toBe(true);
      expect((await run()).json).toMatchObject({ status: 'done', value: { n: 7 } });
    },
  );

  it('that ends in time is answered at once, whatever it was allowed', async () => {
    const { app, call } = await signedIn();
    putTool(app, 'quick', () => ({ done: true }));
    for (const prefer of ['wait=10', 'respond-async, wait=100', 'wait=99999', 'wait=x', 'return=minimal'])
      expect((await call('quick', {}, { prefer })).json, prefer).toEqual({ done: true });
  });

  it('is cancelled by DELETE, once', async () => {
    const { app, token, call } = await signedIn();
    const endless = endlessTool(app);
    const { location } = (await call('endless', {}, { prefer: 'respond-async' })).headers;
    expect(await until(() => endless.begun() === 1)).toBe(true);
    const cancelled = await app.send(String(location), token, { method: 'DELETE' });
    expect([cancelled.status, cancelled.json.status]).toEqual([200, 'cancelled']);
    expect(await until(() => endless.stopped() === 1)).toBe(true);
    const again = await app.send(String(location), token, { method: 'DELETE' });
    expect([again.status, again.json.title]).toEqual([409, 'conflict']);
    expect((await app.send(String(location), token)).json).toMatchObject({
      status: 'cancelled',
      error: { code: 'cancelled' },
    });
  });

  it('keeps its failure', async () => {
    const { app, token, call } = await signedIn();
    putTool(app, 'fails', async () => {
      await sleep(50);
      throw new WeaverError('skill_failed', 'Meant to.');
    });
    const { location } = (await call('fails', {}, { prefer: 'respond-async' })).headers;
    const run = async () => (await app.send(String(location), token)).json;
    expect(await until(async () => (await run()).status === 'failed')).toBe(true);
    expect(await run()).toMatchObject({ error: { code: 'skill_failed', message: 'Meant to.' } });
  });

  it('is read page by page where its result is large', async () => {
    const { app, token, call } = await signedIn();
    const rows = Array.from({ length: 1_000 }, (_, i) => i);
    putTool(app, 'rows', () => sleep(50, { rows }));
    const { location } = (await call('rows', {}, { prefer: 'respond-async' })).headers;
    const read = async (query: string) => (await app.send(`${location}${query}`, token)).json;
    expect(await until(async () => (await read('')).status === 'done')).toBe(true);
    expect(await read('?path=rows&offset=990&limit=5')).toMatchObject({
      value: [990, 991, 992, 993, 994],
      total: 1_000,
      next_offset: 995,
    });
    expect(await read('?path=rows.7')).toMatchObject({ value: 7 });
    expect(await read('?path=none')).toMatchObject({ title: 'not_found', status: 404 });
    for (const query of ['?limit=0', '?offset=-1', '?limit=x', '?offset=1.5'])
      expect(await read(query), query).toMatchObject({ title: 'bad_input', status: 400 });
  });

  it('is found by who began it, not by another, and not under a wrong id', async () => {
    const { app, token, call } = await signedIn();
    putTool(app, 'slow', () => sleep(50, {}));
    const { location } = (await call('slow', {}, { prefer: 'respond-async' })).headers;
    expect((await app.send(String(location), token)).status).toBe(200);
    const bob = await app.tokenFor('bob');
    for (const [path, who] of [
      [String(location), bob],
      ['/v1/runs/run_none', token],
      ['/v1/runs/%2e%2e', token],
    ] as const)
      expect((await app.send(path, who)).status, path).toBe(404);
    expect((await app.send('/v1/runs/', token)).status).toBe(400);
  });
});

describe('a call that asks', () => {
  it('answers 202 with the question, and is answered with answer_run', async () => {
    const { app, token, call } = await signedIn();
    const form = { type: 'object' as const, properties: { yes: { type: 'boolean' as const } }, required: ['yes'] };
    putTool(app, 'asks', () => undefined, {
      run: async (_, { request, runId }) => {
        const { answer } = request.resume ?? {};
        if (answer) return { status: 'done', value: answer.value };
        const question = { id: 'q-1', message: 'Sure?', form, for: 'anyone' as const, expiresAt: Date.now() + 60_000 };
        return { status: 'asks', question, runId };
      },
    });
    const asked = await call('asks');
    expect([asked.status, asked.json]).toEqual([
      202,
      {
        run_id: expect.stringMatching(/^run_/),
        status: 'asks',
        question: expect.objectContaining({ message: 'Sure?', form }),
      },
    ]);
    const run_id = asked.json.run_id;
    expect((await app.send(String(asked.headers.location), token)).json).toMatchObject({
      status: 'asks',
      question: { id: 'q-1' },
    });
    expect((await call('answer_run', { run_id, question_id: 'q-1', answer: { yes: 'maybe' } })).status).toBe(400);
    expect((await call('answer_run', { run_id, question_id: 'q-1', answer: { yes: true } })).json).toEqual({
      yes: true,
    });
  });
});

describe('the list of tools', () => {
  it('comes in every format, and in no other', async () => {
    const { app, token } = await signedIn();
    putTool(app, 'csv_rows', () => ({}));
    const list = async (query: string) => (await app.send(`/v1/tools${query}`, token)).json;
    expect(await list('')).toEqual(await list('?format=mcp'));
    expect((await list('?format=mcp')).tools.at(-1)).toMatchObject({
      name: 'csv_rows',
      inputSchema: { type: 'object' },
    });
    expect((await list('?format=openai')).tools.at(-1)).toMatchObject({
      type: 'function',
      function: { name: 'csv_rows' },
    });
    expect((await list('?format=anthropic')).tools.at(-1)).toMatchObject({
      name: 'csv_rows',
      input_schema: { type: 'object' },
    });
    expect((await list('?format=gemini')).tools[0].functionDeclarations.at(-1)).toMatchObject({ name: 'csv_rows' });
    for (const format of ['', 'OPENAI', 'constructor', 'x'.repeat(1_000)]) {
      const wrong = await app.send(`/v1/tools?format=${format}`, token);
      expect([wrong.status, wrong.json.hint]).toEqual([400, 'Formats: mcp, openai, anthropic, gemini.']);
    }
  });

  it('has what another process on this home saved since', async () => {
    const { app, token, call } = await signedIn();
    await call('save_skill', draft());
    app.catalog.remove('local', 'double');
    await app.database.write((trx) =>
      trx
        .updateTable('generation')
        .set((eb) => ({ value: eb('value', '+', 1) }))
        .execute(),
    );
    await app.database.write((trx) => trx.updateTable('entries').set({ generation: 1_000 }).execute());
    expect((await app.send('/v1/tools', token)).text).toContain('"double"');
  });
});

describe('/v1/openapi.json', () => {
  it('describes the tools that there are now', async () => {
    const app = await httpApp();
    const token = await app.tokenFor('ada');
    const toolPaths = async () => {
      const { status, json } = await app.send('/v1/openapi.json', token);
      expect(status).toBe(200);
      return Object.keys(json.paths).filter((path) => path.startsWith('/v1/tools/'));
    };
    const listed = async () =>
      (await app.send('/v1/tools', token)).json.tools.map(({ name }: { name: string }) => `/v1/tools/${name}`);
    expect(await toolPaths()).toEqual(await listed());
    await app.send('/v1/tools/save_skill', token, { body: draft() });
    expect(await toolPaths()).toContain('/v1/tools/double');
    expect(await toolPaths()).toEqual(await listed());
    app.catalog.remove('local', 'double');
    expect(await toolPaths()).not.toContain('/v1/tools/double');
  });

  it('names the address at which this server is', async () => {
    const app = await httpApp();
    const token = await app.tokenFor('ada');
    expect((await app.send('/v1/openapi.json', token)).json.servers).toEqual([{ url: app.url }]);
  });

  it('describes answers as they are: every operation of it that is called fits', async () => {
    const app = await httpApp();
    const token = await app.tokenFor('ada');
    putTool(app, 'plain', () => ({ fine: true }));
    const { paths, components } = (await app.send('/v1/openapi.json', token)).json;
    const missing = await app.send('/v1/runs/run_none', token);
    for (const key of components.schemas.Problem.required) expect(missing.json).toHaveProperty(key);
    for (const path of Object.keys(paths)) {
      const address = path.replace('{id}', 'run_none');
      for (const method of Object.keys(paths[path])) {
        const body = method === 'post' ? {} : undefined;
        const answer = await app.send(address, token, { method: method.toUpperCase(), body });
        expect(answer.status, `${method} ${path}`).not.toBe(405);
        expect(answer.status, `${method} ${path}`).toBeLessThan(500);
        expect(answer.json, `${method} ${path}`).toBeDefined();
      }
    }
  });
});
