import { join } from 'node:path';
import type { Client } from '@modelcontextprotocol/client';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createPrincipal } from '../../src/access/principals.ts';
import type { Principal } from '../../src/contracts.ts';
import { agent, person, type TestApp, temporaryFolder, testApp } from '../helpers/app.ts';
import {
  type ClientChoice,
  connectInMemory,
  connectOverHttp,
  type Reply,
  serveHttp,
  tokenFor,
} from '../helpers/clients.ts';
import { type Era, textOf } from '../helpers/process.ts';
import { type AsksInput, askingTool } from '../helpers/test-tools.ts';

type Result = Awaited<ReturnType<Client['callTool']>>;
type Connect = (app: TestApp, choice: ClientChoice) => Promise<Client>;

const newest: readonly Era[] = ['2025-11-25', '2026-07-28'];
const places: [string, Connect][] = [
  ['in memory', (app, choice) => connectInMemory(app, agent, choice)],
  ['over HTTP', (app, choice) => connectOverHttp(app, { name: 'test' }, choice)],
];
const everywhere = places.flatMap(([place, connect]) => newest.map((era) => [place, era, connect] as const));

const accept = (content: Record<string, unknown> = { yes: true }): Reply => ({ action: 'accept', content });
const ask = (client: Client, input: AsksInput = {}): Promise<Result> =>
  client.callTool({ name: 'asks', arguments: { ...input } });

async function withAsking(more: Parameters<typeof testApp>[0] = {}) {
  const asks = askingTool();
  return { asks, app: await testApp({ moreTools: [asks.tool], ...more }) };
}

/** Replies in order, the last one again and again, and the questions that came. */
function dialog(...replies: Reply[]) {
  const asked: Record<string, unknown>[] = [];
  const reply = (params: Record<string, unknown>): Reply => {
    asked.push(params);
    return replies[Math.min(asked.length, replies.length) - 1] as Reply;
  };
  return { asked, reply };
}

interface Listed {
  run_id: string;
  status: string;
  question?: { id: string };
}
const runsOf = async (app: TestApp): Promise<Listed[]> =>
  ((await app.use('list_runs', {}, { principal: person })) as { runs: Listed[] }).runs;

describe.each(everywhere)('a question to a client %s of %s', (place, era, connect) => {
  it('is asked in its dialog, and the call goes on with the answer', async () => {
    const { app, asks } = await withAsking();
    const { asked, reply } = dialog(accept({ yes: true, why: 'because' }));
    const client = await connect(app, { era, reply });
    const result = await ask(client);
    expect(result.isError).toBeFalsy();
    expect(result.structuredContent).toEqual({
      answer: { yes: true, why: 'because' },
      by: agent.id,
      how: 'elicitation',
      asked: 1,
    });
    expect(asked).toMatchObject([
      { message: 'Question 1?', requestedSchema: { properties: { yes: { type: 'boolean' } }, required: ['yes'] } },
    ]);
    expect(new Set(asks.runs.map(({ runId }) => runId)).size).toBe(1);
    expect(await runsOf(app)).toMatchObject([{ status: 'done' }]);
  });

  it.each(['decline', 'cancel'] as const)(
    'that is answered with %s ends the run, and is not asked again',
    async (action) => {
      const { app, asks } = await withAsking();
      const { asked, reply } = dialog({ action });
      const client = await connect(app, { era, reply });
      const result = await ask(client, { times: 3 });
      expect(result.isError).toBe(true);
      expect(textOf(result)).toContain('[cancelled]');
      expect(asked).toHaveLength(1);
      expect(asks.runs).toHaveLength(1);
      expect(await runsOf(app)).toMatchObject([{ status: 'cancelled' }]);
    },
  );

  it('is asked at most eight times in a call, and the run can still be answered', async () => {
    const { app } = await withAsking();
    const { asked, reply } = dialog(accept());
    const client = await connect(app, { era, reply });
    const eight = await ask(client, { times: 8 });
    expect(eight.structuredContent).toMatchObject({ asked: 8 });
    expect(asked).toHaveLength(8);
    const nine = await ask(client, { times: 9 });
    expect(asked).toHaveLength(16);
    expect(nine.isError).toBeFalsy();
    expect(nine.structuredContent).toMatchObject({ status: 'asks', question: { message: 'Question 9?' } });
    const { run_id, question } = nine.structuredContent as { run_id: string; question: { id: string } };
    const input = { run_id, question_id: question.id, answer: { yes: true } };
    const last = await client.callTool({ name: 'call_tool', arguments: { name: 'answer_run', input } });
    expect(last.structuredContent).toMatchObject({ asked: 9, how: 'tool' });
  });

  it('takes no answer that does not fit its form, and still asks', async () => {
    const { app, asks } = await withAsking();
    const wrong = [
      [{ yes: 'yes' }, 'answer.yes'],
      [{}, 'yes'],
      [{ yes: true, more: 'x' }, 'more'],
      [{ yes: ['true'] }, 'answer.yes'],
      [{ yes: true, why: 'x'.repeat(21) }, 'answer.why'],
    ] as const;
    const client = await connect(app, { era, ...dialog(...wrong.map(([content]) => accept(content))) });
    for (const [, named] of wrong) {
      const result = await ask(client);
      expect(result.isError).toBe(true);
      for (const part of ['[bad_input]', named, 'get_run']) expect(textOf(result)).toContain(part);
    }
    expect(asks.runs).toHaveLength(wrong.length);
    expect(await runsOf(app)).toMatchObject(wrong.map(() => ({ status: 'asks' })));
  });

  it('without dialogs is handed over, with how to answer it', async () => {
    const { app } = await withAsking();
    const client = await connect(app, { era });
    const result = await ask(client);
    expect(result.isError).toBeFalsy();
    const { status, run_id, question, next } = result.structuredContent as Record<string, string> & {
      question: { id: string };
    };
    expect(status).toBe('asks');
    expect(next).toContain(`answer_run { "run_id": "${run_id}", "question_id": "${question.id}"`);
    const input = { run_id, question_id: question.id, answer: { yes: true } };
    const answered = await client.callTool({ name: 'call_tool', arguments: { name: 'answer_run', input } });
    expect(answered.structuredContent).toMatchObject({ asked: 1 });
  });

  it('for a person is not asked through an agent’s dialog, unless the settings let that count', async () => {
    const { app } = await withAsking();
    const { asked, reply } = dialog(accept());
    const client = await connect(app, { era, reply });
    const result = await ask(client, { for: 'person' });
    expect(result.structuredContent).toMatchObject({ status: 'asks' });
    expect(textOf(result)).toContain('toolweaver run answer');
    expect(textOf(result)).not.toContain('answer_run');
    expect(asked).toHaveLength(0);
    const [run] = await runsOf(app);
    const input = { run_id: run?.run_id, question_id: run?.question?.id, answer: { yes: true } };
    const refused = await client.callTool({ name: 'call_tool', arguments: { name: 'answer_run', input } });
    expect(textOf(refused)).toContain('[needs_person]');
    expect(await runsOf(app)).toMatchObject([{ status: 'asks' }]);
  });

  it('for a person is asked through an agent’s dialog where the settings let that count, but never over HTTP', async () => {
    const { app } = await withAsking({ settings: { elicitationApproves: 'true' } });
    const client = await connect(app, { era, reply: () => accept() });
    const answer = place === 'over HTTP' ? { status: 'asks' } : { how: 'elicitation' };
    expect((await ask(client, { for: 'person' })).structuredContent).toMatchObject(answer);
  });

  it('for others is not asked here', async () => {
    const { app } = await withAsking();
    const { asked, reply } = dialog(accept());
    const client = await connect(app, { era, reply });
    const result = await ask(client, { approvers: ['person:rita'] });
    expect(result.structuredContent).toMatchObject({ status: 'asks' });
    expect(textOf(result)).not.toContain('answer_run');
    expect(asked).toHaveLength(0);
  });
});

describe('a question to a program of the JSON API', () => {
  it('comes as 202, and is answered there, but not what asks a person', async () => {
    const { app } = await withAsking();
    const url = await serveHttp(app);
    const authorization = `Bearer ${await tokenFor(app, 'test', 'agent')}`;
    const post = async (tool: string, body: unknown) => {
      const headers = { authorization, 'content-type': 'application/json' };
      const response = await fetch(`${url}/v1/tools/${tool}`, { method: 'POST', headers, body: JSON.stringify(body) });
      return { status: response.status, body: (await response.json()) as Record<string, unknown> };
    };
    const answerTo = ({ body }: Awaited<ReturnType<typeof post>>) =>
      post('answer_run', {
        run_id: body.run_id,
        question_id: (body.question as { id: string }).id,
        answer: { yes: true },
      });
    const asked = await post('asks', {});
    expect(asked).toMatchObject({ status: 202, body: { status: 'asks', question: { message: 'Question 1?' } } });
    expect(await answerTo(asked)).toMatchObject({ status: 200, body: { answer: { yes: true }, asked: 1 } });
    const forPerson = await answerTo(await post('asks', { for: 'person' }));
    expect(forPerson).toMatchObject({ status: 403, body: { title: 'needs_person' } });
  });
});

/** A client of 2026-07-28 that carries the state back and forth by hand. */
async function byHand(app: TestApp, principal: Principal = agent, more: Partial<ClientChoice> = {}) {
  const client = await connectInMemory(app, principal, {
    era: '2026-07-28',
    reply: () => accept(),
    options: { inputRequired: { autoFulfill: false }, capabilities: { elicitation: {} } },
    ...more,
  });
  const send = (params: Record<string, unknown>): Promise<Raw> =>
    client.request({ method: 'tools/call', params: { name: 'asks', arguments: {}, ...params } }, {
      allowInputRequired: true,
    } as never) as unknown as Promise<Raw>;
  const reply = (requestState: unknown, answer: unknown = accept(), more: Record<string, unknown> = {}) =>
    send({ requestState, inputResponses: { answer }, ...more });
  return { client, send, reply };
}

interface Raw {
  resultType?: string;
  requestState?: string;
  inputRequests?: Record<string, { method: string; params: Record<string, unknown> }>;
  structuredContent?: Record<string, unknown>;
  isError?: boolean;
  content?: { text: string }[];
}

const invalidState = { code: -32_602 };

describe('the state that travels through a client of 2026-07-28', () => {
  it('brings the answer back to any process of the home', async () => {
    const file = join(temporaryFolder(), 'db');
    const [one, two] = [await withAsking({ file }), await withAsking({ file })];
    const asked = await (await byHand(one.app)).send({});
    expect(asked).toMatchObject({
      resultType: 'input_required',
      inputRequests: { answer: { method: 'elicitation/create' } },
    });
    const result = await (await byHand(two.app)).reply(asked.requestState);
    expect(result.structuredContent).toMatchObject({ answer: { yes: true }, asked: 1 });
    expect(one.asks.runs[0]?.runId).toBe(two.asks.runs[0]?.runId);
    expect(await runsOf(one.app)).toMatchObject([{ status: 'done' }]);
  });

  it('with the same answer again gives the same result, and starts no second run', async () => {
    const { app, asks } = await withAsking();
    const { send, reply } = await byHand(app);
    const { requestState } = await send({});
    const [first, twin] = await Promise.all([reply(requestState), reply(requestState)]);
    expect(first.structuredContent).toMatchObject({ asked: 1 });
    expect(twin.structuredContent).toEqual(first.structuredContent);
    expect((await reply(requestState)).structuredContent).toEqual(first.structuredContent);
    expect(asks.runs).toHaveLength(2);
    const other = await reply(requestState, accept({ yes: false }));
    expect(other).toMatchObject({ isError: true, content: [{ text: expect.stringContaining('[conflict]') }] });
    expect(asks.runs).toHaveLength(2);
    expect(await runsOf(app)).toHaveLength(1);
  });

  it.each([
    ['nothing', undefined],
    ['an empty object', {}],
    ['text', 'yes'],
    ['null', null],
    ['an unknown action', { action: 'perhaps' }],
    ['an answer of another kind', { roots: [] }],
  ])('with %s as the answer asks again, and starts no second run', async (_, answer) => {
    const { app, asks } = await withAsking();
    const { send, reply } = await byHand(app);
    const { requestState } = await send({});
    const again = answer === undefined ? await send({ requestState }) : await reply(requestState, answer);
    expect(again).toMatchObject({ resultType: 'input_required' });
    expect(asks.runs).toHaveLength(1);
    const result = await reply(again.requestState);
    expect(result.structuredContent).toMatchObject({ asked: 1 });
    expect(await runsOf(app)).toHaveLength(1);
  });

  it('with no answer, time after time, is left to be answered later', async () => {
    const { app, asks } = await withAsking();
    const { send } = await byHand(app);
    let last = await send({});
    for (let round = 1; round < 8; round++) last = await send({ requestState: last.requestState });
    expect(last).toMatchObject({ resultType: 'input_required' });
    expect((await send({ requestState: last.requestState })).structuredContent).toMatchObject({ status: 'asks' });
    expect(asks.runs).toHaveLength(1);
  });

  it('after a refusal has ended, and stays so', async () => {
    const { app, asks } = await withAsking();
    const { send, reply } = await byHand(app);
    const { requestState } = await send({});
    for (const answer of [{ action: 'decline' }, { action: 'decline' }, accept()]) {
      expect((await reply(requestState, answer)).isError).toBe(true);
    }
    expect(asks.runs).toHaveLength(1);
    expect(await runsOf(app)).toMatchObject([{ status: 'cancelled' }]);
  });

  it('of an earlier question does not end the run by a late refusal', async () => {
    const { app } = await withAsking();
    const { send, reply } = await byHand(app);
    const first = await send({ arguments: { times: 2 } });
    const second = await reply(first.requestState);
    expect((await reply(first.requestState, { action: 'cancel' })).isError).toBe(true);
    expect(await runsOf(app)).toMatchObject([{ status: 'asks' }]);
    expect((await reply(second.requestState)).structuredContent).toMatchObject({ asked: 2 });
  });

  const strangers: [string, Principal][] = [
    ['another agent', createPrincipal('agent:eve', 'agent', ['author'])],
    ['the same name in another tenant', createPrincipal(agent.id, 'agent', ['author'], { tenant: 'other' })],
    ['a person', person],
  ];
  it.each(strangers)('is refused from %s', async (_, stranger) => {
    const { app, asks } = await withAsking();
    const { requestState } = await (await byHand(app)).send({});
    await expect((await byHand(app, stranger)).reply(requestState)).rejects.toMatchObject(invalidState);
    expect(asks.runs).toHaveLength(1);
    expect(await runsOf(app)).toMatchObject([{ status: 'asks' }]);
  });

  it('is refused for another tool', async () => {
    const { app, asks } = await withAsking();
    const { send, reply } = await byHand(app);
    const { requestState } = await send({});
    for (const name of ['list_runs', 'call_tool', 'nothing'])
      await expect(reply(requestState, accept(), { name })).rejects.toMatchObject(invalidState);
    expect(asks.runs).toHaveLength(1);
  });

  it('is refused when it was changed, cut, made up or is no text', async () => {
    const { app, asks } = await withAsking();
    const { send, reply } = await byHand(app);
    const { requestState = '' } = await send({});
    const [version, body = '', mac] = requestState.split('.');
    const payload = JSON.parse(Buffer.from(body, 'base64url').toString()) as { p: { round: number } };
    payload.p.round = -100;
    const changed = [version, Buffer.from(JSON.stringify(payload)).toString('base64url'), mac].join('.');
    for (const bad of [changed, requestState.slice(0, -2), `${requestState}x`, '', 'v1..', 'x'.repeat(100_000)])
      await expect(reply(bad)).rejects.toMatchObject(invalidState);
    await expect(reply(7)).rejects.toMatchObject(invalidState);
    expect(asks.runs).toHaveLength(1);
    expect((await reply(requestState)).structuredContent).toMatchObject({ asked: 1 });
  });

  it('holds as long as its question, and not longer', async () => {
    const { app, asks } = await withAsking();
    const { send, reply } = await byHand(app);
    const long = await send({ arguments: { expiresInMs: 3_600_000 } });
    const short = await send({ arguments: { expiresInMs: 60_000 } });
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 62_000 });
    onTestFinished(() => void vi.useRealTimers());
    await expect(reply(short.requestState)).rejects.toMatchObject(invalidState);
    vi.setSystemTime(Date.now() + 3_400_000);
    expect((await reply(long.requestState)).structuredContent).toMatchObject({ asked: 1 });
    expect(asks.runs).toHaveLength(3);
  });

  it('is signed by a key of the tenant, which no state shows', async () => {
    const { app } = await withAsking();
    const { requestState = '' } = await (await byHand(app)).send({});
    const keys = await app.database.read.selectFrom('keys').selectAll().execute();
    expect(keys).toMatchObject([{ tenant: 'local', value: expect.stringMatching(/^[0-9a-f]{64}$/) }]);
    expect(Buffer.from(requestState.split('.')[1] ?? '', 'base64url').toString()).not.toContain(keys[0]?.value);
  });
});

describe('a question that nobody answers', () => {
  it('through a dialog of 2025-11-25 leaves the run to be answered later, for as long as it may be', async () => {
    const { app } = await withAsking();
    const client = await connectInMemory(app, agent, { era: '2025-11-25', reply: () => new Promise(() => {}) });
    const result = await ask(client, { expiresInMs: 1_200 });
    expect(result.isError).toBeFalsy();
    expect(result.structuredContent).toMatchObject({ status: 'asks' });
    expect(await runsOf(app)).toMatchObject([{ status: 'failed', error: { code: 'timed_out' } }]);
  });

  it('because the dialog broke leaves the run to be answered later', async () => {
    const { app } = await withAsking();
    const reply = () => Promise.reject(new Error('no window'));
    const client = await connectInMemory(app, agent, { era: '2025-11-25', reply });
    expect((await ask(client)).structuredContent).toMatchObject({ status: 'asks' });
    expect(await runsOf(app)).toMatchObject([{ status: 'asks' }]);
  });

  it('because the client cancels its call leaves the run as well', async () => {
    const { app } = await withAsking();
    const abort = new AbortController();
    const reply = (): Promise<Reply> => {
      abort.abort();
      return new Promise(() => {});
    };
    const client = await connectInMemory(app, agent, { era: '2025-11-25', reply });
    const call = client.callTool({ name: 'asks', arguments: {} }, { signal: abort.signal });
    await expect(call).rejects.toThrow();
    expect(await runsOf(app)).toMatchObject([{ status: 'asks' }]);
  });
});

describe('which clients are asked', () => {
  const asks = { structuredContent: { status: 'asks' } };
  const answered = { structuredContent: { asked: 1 } };
  it.each([
    ['forms', { elicitation: { form: {} } }, answered],
    ['forms and pages', { elicitation: { form: {}, url: {} } }, answered],
    ['elicitation alone, which means forms', { elicitation: {} }, answered],
    ['pages only', { elicitation: { url: {} } }, asks],
    ['nothing', {}, asks],
  ])('those that declare %s', async (_, capabilities, expected) => {
    for (const era of newest) {
      const { app } = await withAsking();
      const reply = 'elicitation' in capabilities ? () => accept() : undefined;
      const client = await connectInMemory(app, agent, { era, ...(reply && { reply }), options: { capabilities } });
      expect(await ask(client)).toMatchObject(expected);
    }
  });

  it('and a person, signed in as one, is asked what asks for a person', async () => {
    const { app } = await withAsking();
    const rita = createPrincipal('person:rita', 'person', ['reviewer']);
    for (const era of newest) {
      const client = await connectInMemory(app, rita, { era, reply: () => accept() });
      const result = await ask(client, { for: 'person', approvers: ['person:rita'] });
      expect(result.structuredContent).toMatchObject({ by: 'person:rita', how: 'elicitation' });
    }
  });
});
