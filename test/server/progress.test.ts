import type { Progress } from '@modelcontextprotocol/client';
import { describe, expect, it } from 'vitest';
import { agent, testApp } from '../helpers/app.ts';
import { connectInMemory, connectOverHttp } from '../helpers/clients.ts';
import { until } from '../helpers/process.ts';
import { askingTool, testTool, waitingTool } from '../helpers/test-tools.ts';

const newest = ['2025-11-25', '2026-07-28'] as const;
const silenceMs = 80;

const isRising = (heard: readonly Progress[]): boolean =>
  heard.every(({ progress }, i) => i === 0 || progress > (heard[i - 1] as Progress).progress);

async function withWaiting() {
  const waits = waitingTool();
  const app = await testApp({ moreTools: [waits.tool, askingTool().tool] });
  return { app, waits };
}

describe.each(newest)('a client of %s that listens', (era) => {
  it('hears of a silent call again and again, ever a little more', async () => {
    const { app, waits } = await withWaiting();
    const client = await connectInMemory({ ...app, silenceMs }, agent, { era });
    const heard: Progress[] = [];
    const call = client.callTool({ name: 'waits' }, { onprogress: (progress) => void heard.push(progress) });
    expect(await until(() => heard.length >= 3, 5_000)).toBe(true);
    waits.runs[0]?.progress({ done: 5, total: 10, message: 'half' });
    expect(await until(() => heard.some(({ message }) => message === 'half'), 5_000)).toBe(true);
    const before = heard.length;
    expect(await until(() => heard.length >= before + 2, 5_000)).toBe(true);
    waits.finish();
    await call;
    expect(isRising(heard)).toBe(true);
    expect(heard.find(({ message }) => message === 'half')).toEqual({ progress: 5, total: 10, message: 'half' });
    for (const { progress, message } of heard.slice(before)) {
      expect(message).toBe('still running');
      expect(progress).toBeLessThan(5.01);
    }
    const after = heard.length;
    await until(() => heard.length > after, 3 * silenceMs);
    expect(heard).toHaveLength(after);
  });

  it('hears nothing more of a call that went on in the background', async () => {
    const { app, waits } = await withWaiting();
    const client = await connectInMemory({ ...app, silenceMs, backgroundAfterMs: 50 }, agent, { era });
    const heard: Progress[] = [];
    await client.callTool({ name: 'waits' }, { onprogress: (progress) => void heard.push(progress) });
    const before = heard.length;
    waits.runs[0]?.progress({ done: 5 });
    await until(() => heard.length > before, 3 * silenceMs);
    expect(heard).toHaveLength(before);
    waits.finish();
  });

  it('hears over HTTP too', async () => {
    const { app, waits } = await withWaiting();
    const client = await connectOverHttp({ ...app, silenceMs }, { name: 'test' }, { era });
    const heard: Progress[] = [];
    const call = client.callTool({ name: 'waits' }, { onprogress: (progress) => void heard.push(progress) });
    expect(await until(() => heard.length >= 2, 5_000)).toBe(true);
    waits.finish();
    await call;
    expect(isRising(heard)).toBe(true);
  });
});

it('a client of 2025-11-25 hears that the call lives while a person thinks about a question', async () => {
  const { app } = await withWaiting();
  const heard: Progress[] = [];
  const reply = async () => {
    await until(() => heard.length >= 3, 5_000);
    return { action: 'accept', content: { yes: true } } as const;
  };
  const client = await connectInMemory({ ...app, silenceMs }, agent, { era: '2025-11-25', reply });
  const result = await client.callTool({ name: 'asks' }, { onprogress: (progress) => void heard.push(progress) });
  expect(result.structuredContent).toMatchObject({ asked: 1 });
  expect(heard.length).toBeGreaterThanOrEqual(3);
  expect(isRising(heard)).toBe(true);
});

describe('progress', () => {
  it.each([
    ['falls', [3, 2, 1], [3]],
    ['stays', [1, 1, 1], [1]],
    ['is no number', [Number.NaN, Number.POSITIVE_INFINITY, null as unknown as number, 2], [2]],
    ['is below nothing', [-5, -4, 1], [-5, -4, 1]],
  ])('that %s is told only where it rises', async (_, said, expected) => {
    const reports = testTool('reports', async (_input, ctx) => {
      for (const done of said) ctx.progress({ done });
      return { status: 'done', value: {} };
    });
    const app = await testApp({ moreTools: [reports.tool] });
    const client = await connectInMemory(app, agent, { era: '2025-11-25' });
    const heard: number[] = [];
    await client.callTool({ name: 'reports' }, { onprogress: ({ progress }) => void heard.push(progress) });
    expect(heard).toEqual(expected);
  });

  it.each([1e10, 2 ** 53, 1e300])('of %d still rises while nothing is said', async (done) => {
    const { app, waits } = await withWaiting();
    const client = await connectInMemory({ ...app, silenceMs }, agent, { era: '2025-11-25' });
    const heard: Progress[] = [];
    const call = client.callTool({ name: 'waits' }, { onprogress: (progress) => void heard.push(progress) });
    await until(() => waits.runs.length === 1, 5_000);
    waits.runs[0]?.progress({ done });
    expect(await until(() => heard.length >= 3, 5_000)).toBe(true);
    waits.finish();
    await call;
    expect(isRising(heard)).toBe(true);
  });

  it('of the largest number there is cannot rise, and does no harm', async () => {
    const { app, waits } = await withWaiting();
    const client = await connectInMemory({ ...app, silenceMs }, agent, { era: '2025-11-25' });
    const heard: Progress[] = [];
    const call = client.callTool({ name: 'waits' }, { onprogress: (progress) => void heard.push(progress) });
    await until(() => waits.runs.length === 1, 5_000);
    waits.runs[0]?.progress({ done: Number.MAX_VALUE });
    await until(() => heard.length > 1, 3 * silenceMs);
    waits.finish();
    expect((await call).structuredContent).toEqual({ waited: true });
    expect(heard.map(({ progress }) => progress).at(-1)).toBe(Number.MAX_VALUE);
  });
});
