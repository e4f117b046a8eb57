import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WeaverError } from '../errors.ts';
import { isRecord } from '../json.ts';
import { type Bridge, createBridge } from './bridge.ts';
import type { FetchAnswer } from './fetch.ts';
import { openWorkspace } from './workspace.ts';

type Stubs = Readonly<Record<string, unknown>>;

/**
 * What code that nobody has approved reaches while an example is checked: answers of the example's own
 * (`stubs: { "ctx.fetch": { "GET https://…": … }, "ctx.files": { "path": "text" } }`), and a folder that is thrown away.
 */
export async function withStubs<T>(
  stubs: Stubs,
  files: 'none' | 'read' | 'write',
  work: (bridge: Bridge) => Promise<T>,
): Promise<T> {
  const fetch = { send: async (url: unknown, init: unknown) => stubbed(recordOf(stubs, 'ctx.fetch'), url, init) };
  if (files === 'none') return work(createBridge({ fetch }));
  const folder = await mkdtemp(join(tmpdir(), 'toolweaver-example-'));
  try {
    const space = openWorkspace(join(folder, 'files'));
    for (const [path, text] of Object.entries(recordOf(stubs, 'ctx.files'))) {
      if (typeof text !== 'string') throw noStub(`stubs["ctx.files"][${JSON.stringify(path)}] is no text`);
      await space.write(path, Buffer.from(text));
    }
    return await work(createBridge({ fetch, files: { space, canWrite: files === 'write' } }));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function recordOf(stubs: Stubs, name: string): Record<string, unknown> {
  const value = Object.hasOwn(stubs, name) ? stubs[name] : {};
  if (isRecord(value)) return value;
  throw noStub(`stubs["${name}"] is no object`);
}

/** A stub is the body itself, as text or JSON, or `{ status, headers, body }`. */
function stubbed(stubs: Stubs, url: unknown, init: unknown): FetchAnswer {
  const method = isRecord(init) && typeof init.method === 'string' ? init.method.toUpperCase() : 'GET';
  const key = [`${method} ${url}`, String(url)].find((one) => Object.hasOwn(stubs, one));
  if (key === undefined) throw noStub(`the example has no stub for ${method} ${String(url).slice(0, 200)}`);
  const stub = stubs[key];
  const { status = 200, headers = {}, body = stub } = isAnswer(stub) ? stub : {};
  return {
    status: Number(status),
    statusText: '',
    url: String(url),
    headers: headers as Record<string, string>,
    body: typeof body === 'string' ? body : JSON.stringify(body ?? null),
    bodyEncoding: 'utf8',
  };
}

const isAnswer = (stub: unknown): stub is { status?: unknown; headers?: unknown; body?: unknown } =>
  isRecord(stub) && 'body' in stub && Object.keys(stub).every((key) => ['status', 'headers', 'body'].includes(key));

const noStub = (what: string): WeaverError =>
  new WeaverError('not_allowed', `Code that nobody has approved reaches nothing outside: ${what}.`, {
    hint: 'Say in the example what it answers: stubs: { "ctx.fetch": { "GET https://api.example.com/x": { … } }, "ctx.files": { "a.txt": "…" } }.',
  });
