import { join } from 'node:path';
import Database from 'better-sqlite3';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { listedBuiltins } from '../../src/tools/index.ts';
import { draft } from '../helpers/app.ts';
import { command, makeHome, until } from '../helpers/process.ts';
import { askingServer } from './foreign.ts';
import { copyOf, homeWithSkills, manySkills } from './homes.ts';
import { type HttpProcess, serveHttp, serverEnv } from './servers.ts';

/** Where a client finds a server. */
export type Target =
  | { transport: 'stdio'; command: string; args: string[]; env: Record<string, string> }
  | { transport: 'HTTP'; url: string; token: string };

/** What somebody at the client does with a question; absent for a client that cannot be asked. */
export type Reply = { action: 'accept'; content: Record<string, string> } | { action: 'decline' | 'cancel' };

export interface CallResult {
  content?: unknown;
  structuredContent?: unknown;
  isError?: boolean;
}

/** A foreign client that is connected. */
export interface Peer {
  /** The protocol version that was agreed on. */
  version: string | undefined;
  /** How many times it heard that tools changed. */
  changes(): number;
  /** The names of all pages, and how many pages there were. */
  list(): Promise<{ names: string[]; pages: number }>;
  call(
    name: string,
    input?: Record<string, unknown>,
    options?: { signal?: AbortSignal; onprogress?: (progress: { progress: number }) => void },
  ): Promise<CallResult>;
  close(): Promise<void>;
}

export type Connect = (target: Target, reply?: Reply) => Promise<Peer>;

const hello: Reply = { action: 'accept', content: { name: 'Ada' } };
const transports = ['stdio', 'HTTP'] as const;
const textOf = ({ content }: CallResult): string => JSON.stringify(content);

/** What every client can do with this server, on both transports. */
export function examine(client: string, version: string, connect: Connect): void {
  let seeded = '';
  beforeAll(async () => {
    seeded = await homeWithSkills();
  });

  describe.each(transports)(`${client} over %s`, (transport) => {
    let home = '';
    let target: Target;
    let asking: Target;
    beforeAll(async () => {
      home = copyOf(seeded);
      [target, asking] = await Promise.all([targetOf(transport, home), targetOf(transport, makeHome(), askingServer)]);
    });
    const open = async (at: Target, reply?: Reply): Promise<Peer> => {
      const peer = await connect(at, reply);
      onTestFinished(() => peer.close());
      return peer;
    };

    it('agrees on the version, and reads all pages without gap or double', async () => {
      const peer = await open(target);
      expect(peer.version).toBe(version);
      const { names, pages } = await peer.list();
      expect(pages).toBeGreaterThan(1);
      expect(new Set(names).size).toBe(names.length);
      expect(names.length).toBeGreaterThanOrEqual(listedBuiltins.length + manySkills);
    });

    it('saves a skill, hears of it, finds it in the list and calls it', async () => {
      const peer = await open(target);
      const saved = await peer.call(
        'save_skill',
        draft({
          name: 'halves',
          code: 'export default (i) => ({ y: i.x / 2 });',
          examples: [{ input: { x: 4 }, output: { y: 2 } }],
          description: 'Halves a number.',
        }),
      );
      expect(saved.isError, textOf(saved)).toBeFalsy();
      expect(await until(() => peer.changes() > 0)).toBe(true);
      expect((await peer.list()).names).toContain('halves');
      expect((await peer.call('halves', { x: 42 })).structuredContent).toEqual({ y: 21 });
    });

    it('hears how far a call has come, upwards', async () => {
      const peer = await open(target);
      const heard: number[] = [];
      await peer.call('counts', { x: 7 }, { onprogress: ({ progress }) => heard.push(progress) });
      expect(heard).toEqual([1, 2, 3]);
    });

    it('cancels a call, which then stops', async () => {
      const peer = await open(target);
      const stop = new AbortController();
      const call = peer.call('patient', { x: 3 }, { signal: stop.signal, onprogress: () => stop.abort('enough') });
      await expect(call).rejects.toThrow();
      expect(await until(() => endsOf('patient', home).includes('cancelled'))).toBe(true);
    });

    it('is told of a tool that there is not by a protocol error, and of a wrong input by a result', async () => {
      const peer = await open(target);
      await expect(peer.call('no_such_tool')).rejects.toMatchObject({ code: -32602 });
      const wrong = await peer.call('counts', { x: 'seven' });
      expect(wrong.isError).toBe(true);
      expect(textOf(wrong)).toContain('[bad_input]');
    });

    it('is asked, and its answer goes on with the call', async () => {
      const peer = await open(asking, hello);
      expect((await peer.call('ask_name')).structuredContent).toEqual({ greeting: 'Hello, Ada!' });
    });

    it.each(['decline', 'cancel'] as const)('is asked, and %s is the end of the call', async (action) => {
      const peer = await open(asking, { action });
      const refused = await peer.call('ask_name');
      expect(refused.isError).toBe(true);
      expect(textOf(refused)).toContain('[cancelled]');
    });

    it('is given the question where it cannot be asked, and answers by a tool', async () => {
      const peer = await open(asking);
      const { structuredContent } = await peer.call('ask_name');
      expect(structuredContent).toMatchObject({ status: 'asks', question: { message: 'What is your name?' } });
      const { run_id, question } = structuredContent as { run_id: string; question: { id: string } };
      const answered = await peer.call('answer_run', { run_id, question_id: question.id, answer: { name: 'Grace' } });
      expect(textOf(answered)).toContain('Hello, Grace!');
    });
  });

  it(`${client} is refused with a wrong token`, async () => {
    const { url } = await serveHttp({ home: makeHome() });
    await expect(connect({ transport: 'HTTP', url: `${url}/mcp`, token: 'tw_wrong' })).rejects.toThrow(/token is|401/);
  });
}

/** How a server is reached that is started for a home: by its command, or as a process of its own. */
export async function targetOf(transport: Target['transport'], home: string, script = command): Promise<Target> {
  const env = { TOOLWEAVER_APPROVAL: 'auto' };
  if (transport === 'stdio') {
    return { transport, command: process.execPath, args: [script, 'serve'], env: serverEnv({ home, env }) };
  }
  const { url, token }: HttpProcess = await serveHttp({ home, env, script });
  return { transport, url: `${url}/mcp`, token };
}

/** How the calls of a tool have ended so far. */
export function endsOf(tool: string, home: string): string[] {
  const file = new Database(join(home, 'toolweaver.db'), { readonly: true });
  try {
    return file.prepare('select code from calls where tool = ?').pluck().all(tool) as string[];
  } finally {
    file.close();
  }
}
