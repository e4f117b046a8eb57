import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { WeaverError } from '../../src/errors.ts';
import { temporaryFolder } from '../helpers/app.ts';
import { type HttpApp, httpApp, putTool } from '../helpers/http.ts';
import { until } from '../helpers/process.ts';

/** A tool that counts how often it ran, and ends when it is let go; at once when it is not held. */
function counter(app: HttpApp, { isHeld = false } = {}) {
  let runs = 0;
  const held: (() => void)[] = [];
  putTool(app, 'count', async ({ n }) => {
    const run = ++runs;
    if (isHeld) await new Promise<void>((resolve) => held.push(resolve));
    return { n, run };
  });
  return { runs: () => runs, letGo: () => held.splice(0).forEach((go) => void go()) };
}

const call = (app: HttpApp, token: string, key: string, body: unknown = { n: 1 }, more: Record<string, string> = {}) =>
  app.send('/v1/tools/count', token, { body, headers: { 'idempotency-key': key, ...more } });

describe('an idempotency key', () => {
  it('gives the kept outcome to the same call, which ran once, and a new one to another key', async () => {
    const app = await httpApp();
    const tool = counter(app);
    const token = await app.tokenFor('ada');
    const answers = [await call(app, token, 'one'), await call(app, token, 'one'), await call(app, token, ' one ')];
    expect(answers.map(({ status, json }) => [status, json])).toEqual(answers.map(() => [200, { n: 1, run: 1 }]));
    expect(tool.runs()).toBe(1);
    expect((await call(app, token, 'two')).json).toEqual({ n: 1, run: 2 });
    // Without a key every call is a new one.
    await app.send('/v1/tools/count', token, { body: { n: 1 } });
    expect(tool.runs()).toBe(3);
  });

  it('takes the same input in whatever order, and is a conflict with another input or tool', async () => {
    const app = await httpApp();
    const tool = counter(app);
    putTool(app, 'other', () => ({}));
    const token = await app.tokenFor('ada');
    expect((await call(app, token, 'key', { n: 1, m: 2 })).status).toBe(200);
    expect((await call(app, token, 'key', { m: 2, n: 1 })).status).toBe(200);
    const another = await call(app, token, 'key', { n: 2, m: 2 });
    expect([another.status, another.json.title]).toEqual([409, 'conflict']);
    const headers = { 'idempotency-key': 'key' };
    expect((await app.send('/v1/tools/other', token, { body: { n: 1, m: 2 }, headers })).status).toBe(409);
    expect(tool.runs()).toBe(1);
  });

  it('keeps an error as well', async () => {
    const app = await httpApp();
    let runs = 0;
    putTool(app, 'count', () => {
      runs++;
      throw new WeaverError('skill_failed', 'Meant to.', { hint: 'Do not.', details: { line: 3 } });
    });
    const token = await app.tokenFor('ada');
    const [first, second] = [await call(app, token, 'one'), await call(app, token, 'one')];
    expect(first.status).toBe(422);
    expect(second.json).toEqual(first.json);
    expect(runs).toBe(1);
  });

  it('is its principal’s own', async () => {
    const app = await httpApp();
    const tool = counter(app);
    const [ada, bob] = [await app.tokenFor('ada'), await app.tokenFor('bob')];
    expect((await call(app, ada, 'key')).json.run).toBe(1);
    expect((await call(app, bob, 'key', { n: 2 })).json.run).toBe(2);
    expect(tool.runs()).toBe(2);
  });

  it('makes twins that come at once wait for the first', async () => {
    const app = await httpApp();
    const tool = counter(app, { isHeld: true });
    const token = await app.tokenFor('ada');
    const twins = Array.from({ length: 10 }, () => call(app, token, 'twins'));
    expect(await until(() => tool.runs() === 1)).toBe(true);
    tool.letGo();
    expect((await Promise.all(twins)).map(({ json }) => json)).toEqual(twins.map(() => ({ n: 1, run: 1 })));
    expect(tool.runs()).toBe(1);
  });

  it('makes twins in another process on the same home wait for the first', async () => {
    const file = join(temporaryFolder(), 'library.db');
    const [one, other] = [await httpApp({ file }), await httpApp({ file })];
    const [mine, theirs] = [counter(one, { isHeld: true }), counter(other, { isHeld: true })];
    const token = await one.tokenFor('ada');
    const twins = [call(one, token, 'twins'), call(other, token, 'twins')];
    expect(await until(() => mine.runs() + theirs.runs() === 1)).toBe(true);
    mine.letGo();
    theirs.letGo();
    const [first, second] = await Promise.all(twins);
    expect(first?.json).toEqual({ n: 1, run: 1 });
    expect(second?.json).toEqual(first?.json);
    expect(mine.runs() + theirs.runs()).toBe(1);
  });

  it('goes with a call in the background, which a twin finds by the same address', async () => {
    const app = await httpApp();
    const tool = counter(app, { isHeld: true });
    const token = await app.tokenFor('ada');
    const prefer = { prefer: 'respond-async' };
    const [first, second] = [
      await call(app, token, 'k', { n: 1 }, prefer),
      await call(app, token, 'k', { n: 1 }, prefer),
    ];
    expect([first.status, second.status]).toEqual([202, 202]);
    expect(second.headers.location).toBe(first.headers.location);
    tool.letGo();
    expect(await until(async () => (await call(app, token, 'k', { n: 1 }, prefer)).status === 200)).toBe(true);
    expect(tool.runs()).toBe(1);
  });

  it('lets a client that was cut off come back for the outcome of its call, which ran once', async () => {
    const app = await httpApp();
    const tool = counter(app, { isHeld: true });
    const token = await app.tokenFor('ada');
    const socket = connect(app.port, '127.0.0.1');
    socket.write(
      'POST /v1/tools/count HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n' +
        `authorization: Bearer ${token}\r\nidempotency-key: cut\r\ncontent-length: 7\r\n\r\n{"n":1}`,
    );
    expect(await until(() => tool.runs() === 1)).toBe(true);
    socket.destroy();
    const again = call(app, token, 'cut');
    await sleep(50);
    tool.letGo();
    expect((await again).json).toEqual({ n: 1, run: 1 });
    expect(tool.runs()).toBe(1);
  });

  it('has 1 to 200 characters', async () => {
    const app = await httpApp();
    const tool = counter(app);
    const token = await app.tokenFor('ada');
    for (const key of ['', '   ', 'k'.repeat(201)])
      expect((await call(app, token, key)).status, key.slice(0, 5)).toBe(400);
    expect(tool.runs()).toBe(0);
    expect((await call(app, token, 'k'.repeat(200))).status).toBe(200);
  });
});
