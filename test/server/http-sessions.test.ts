import { McpServer } from '@modelcontextprotocol/server';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createPrincipal } from '../../src/access/principals.ts';
import { createSessions, type Session, type SessionLimits } from '../../src/server/http-sessions.ts';

const ada = createPrincipal('agent:ada', 'agent', ['author']);

/** Sessions by a clock that stands still until it is moved. */
function clocked(limits: Partial<SessionLimits> = {}) {
  let now = 1_700_000_000_000;
  const sessions = createSessions({ count: 3, idleMs: 1_000, ...limits }, () => now);
  onTestFinished(() => sessions.close());
  const begin = async (principal = ada): Promise<{ id: string; session: Session; isEnded: () => boolean }> => {
    let isEnded = false;
    const server = new McpServer({ name: 'test', version: '1.0.0' });
    server.server.onclose = () => {
      isEnded = true;
    };
    const session = await sessions.begin(principal, () => server);
    return { id: session.id, session, isEnded: () => isEnded };
  };
  const wait = (ms: number): void => {
    now += ms;
  };
  return { sessions, begin, wait, count: () => [...sessions.all()].length };
}

const missing = expect.objectContaining({ code: 'not_found' });

describe('sessions', () => {
  it('are forgotten when nobody used them for a while, and not before', async () => {
    const { sessions, begin, wait } = clocked();
    const { id, session } = await begin();
    wait(1_000);
    expect(sessions.get(id, ada)).toBe(session);
    wait(1);
    expect(() => sessions.get(id, ada)).toThrow(missing);
  });

  it('are as young as their last use', async () => {
    const { sessions, begin, wait } = clocked();
    const { id, session } = await begin();
    wait(900);
    sessions.enter(session);
    wait(50_000);
    // As long as a request is under way it is in use.
    expect(sessions.get(id, ada)).toBe(session);
  });

  it('end with the request that did not initialize them', async () => {
    const { sessions, begin, count } = clocked();
    const { id, session, isEnded } = await begin();
    sessions.enter(session);
    sessions.leave(session);
    expect([isEnded(), count()]).toEqual([true, 0]);
    expect(() => sessions.get(id, ada)).toThrow(missing);
  });

  it('give way when there are too many: the longest unused first, those in use never', async () => {
    const { sessions, begin, wait, count } = clocked();
    const first = await begin();
    wait(10);
    const second = await begin();
    wait(10);
    const third = await begin();
    sessions.enter(first.session);
    wait(10);
    await begin();
    expect([first, second, third].map(({ isEnded }) => isEnded())).toEqual([false, true, false]);
    expect(count()).toBe(3);
    for (const session of sessions.all()) if (session.open === 0) sessions.enter(session);
    await expect(begin()).rejects.toMatchObject({ code: 'busy', hint: expect.any(String) });
    expect(count()).toBe(3);
  });

  it('belong to their principal with exactly its rights', async () => {
    const { sessions, begin } = clocked();
    const { id, session } = await begin();
    expect(sessions.get(id, { ...ada })).toBe(session);
    for (const other of [
      createPrincipal('agent:bob', 'agent', ['author']),
      createPrincipal('agent:ada', 'agent', ['viewer']),
      createPrincipal('agent:ada', 'agent', ['author'], { tenant: 'other' }),
      createPrincipal('agent:ada', 'agent', ['author'], { tools: ['*'] }),
      createPrincipal('agent:ada', 'person', ['author']),
    ])
      expect(() => sessions.get(id, other)).toThrow(missing);
  });

  it('all end with the server', async () => {
    const { sessions, begin, count } = clocked();
    const all = [await begin(), await begin()];
    await sessions.close();
    expect(all.map(({ isEnded }) => isEnded())).toEqual([true, true]);
    expect(count()).toBe(0);
    for (const { id } of all) expect(() => sessions.get(id, ada)).toThrow(missing);
  });
});
