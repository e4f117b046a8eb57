// A process that runs what it is told on stdin, one JSON line each, as the server of one agent would, and goes on with
// what others leave: node holder.mjs HOME ADDRESS EFFECTS. Its tools have an effect: a POST to the address EFFECTS.
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { createPrincipal } from '../../src/access/principals.ts';
import { openApp } from '../../src/app.ts';
import type { Tool, ToolContext } from '../../src/catalog/tool.ts';
import { loadConfig } from '../../src/config.ts';
import { createLog } from '../../src/log.ts';
import { askingTool } from '../helpers/test-tools.ts';

const [, , home = '', address = '', effects = ''] = process.argv;
const agent = createPrincipal('agent:test', 'agent', ['author']);

/** Waits, has its effect, and waits again. */
const acting = (name: string, idempotentHint: boolean): Tool => ({
  ...askingTool().tool,
  name,
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint, openWorldHint: true },
  async run(input, { request, runId, signal }: ToolContext) {
    const { ms } = input as { ms: number };
    await sleep(ms / 2, undefined, { signal });
    const headers = { 'idempotency-key': request.idempotencyKey ?? runId };
    await fetch(`${effects}/${name}`, { method: 'POST', headers, signal });
    await sleep(ms / 2, undefined, { signal });
    return { status: 'done', value: { by: process.pid } };
  },
});

const config = loadConfig({}, { home, sandboxThreads: 1 }).config;
const app = await openApp(config, createLog('warn'), {
  databaseFile: address,
  moreTools: [acting('acts_again', true), acting('acts_once', false), askingTool().tool],
  runTimes: { leaseMs: 1_000, renewMs: 200, lookMs: 50 },
  workerTimes: { outboxMs: 100, leasesMs: 100 },
});
app.worker.start();
const say = (fact: object): void => void process.stdout.write(`${JSON.stringify(fact)}\n`);
say({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  const { id, ...request } = JSON.parse(line);
  const signal = new AbortController().signal;
  void app.call({ principal: agent, via: 'system', signal, ...request }).then((outcome) => say({ id, outcome }));
}
await app.close();
