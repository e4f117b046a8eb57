import { setImmediate as nextTurn } from 'node:timers/promises';
import { createPrincipal } from '../../src/access/principals.ts';
import { openApp } from '../../src/app.ts';
import { decide, listReviews } from '../../src/approval/reviews.ts';
import { loadConfig } from '../../src/config.ts';
import { libraryReviewEnds } from '../../src/library/decide.ts';
import { requestRollback } from '../../src/library/rollback.ts';
import { listVersions } from '../../src/library/table.ts';
import { silentLog } from '../../src/log.ts';

// A program that saves, decides and rolls back as fast as it can, and prints each change once it has been answered:
//   node people.mjs HOME ADDRESS SEED MILLISECONDS HOW_MANY_AT_ONCE
const [home = '', address = '', seed = '1', forMs = '1000', lanes = '1'] = process.argv.slice(2);
const names = Array.from({ length: 10 }, (_, n) => `skill_${n}`);
const agent = createPrincipal(`agent:${seed}`, 'agent', ['author']);
const person = createPrincipal(`person:${seed}`, 'person', ['admin']);

let state = Number(seed) >>> 0;
/** A number from 0 to `below`, the same ones for the same seed (mulberry32). */
function random(below: number): number {
  state = (state + 0x6d2b79f5) >>> 0;
  let mixed = Math.imul(state ^ (state >>> 15), state | 1);
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
  return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
}

const { config } = loadConfig({}, { home });
const app = await openApp(config, silentLog, { databaseFile: address });
let delayMs = 0;
let count = 0;
const say = (fact: object): void => void process.stdout.write(`${JSON.stringify(fact)}\n`);

async function call(tool: string, input: unknown): Promise<Record<string, unknown>> {
  const request = { tool, input, principal: agent, via: 'system' as const, signal: new AbortController().signal };
  const outcome = await app.call(request);
  if (outcome.status === 'failed') throw outcome.error;
  return (outcome as { value: Record<string, unknown> }).value;
}

const changes: Record<string, (name: string) => Promise<object | undefined>> = {
  async save(name) {
    const code = `export default () => ({ by: '${seed}', number: ${++count} });`;
    const more = { description: 'Says who saved it.', input_schema: { type: 'object' }, examples: [] };
    const { version, seal } = await call('save_skill', { name, code, ...more });
    return { name, version, seal };
  },
  async decide() {
    const open = await listReviews(app.database.read, 'local', 'open', 20);
    const review = open[random(open.length || 1)];
    if (!review) return undefined;
    const verdict = random(5) === 0 ? ('rejected' as const) : ('approved' as const);
    const request = { id: review.id, verdict, seal: review.subject.seal, how: 'cli' as const };
    await app.database.write((trx) => decide(trx, libraryReviewEnds, person, request, Date.now()));
    return { review: review.id, verdict };
  },
  async rollBack(name) {
    const versions = await listVersions(app.database.read, 'local', name);
    const earlier = versions.filter((version) => version.state === 'superseded');
    const target = earlier[random(earlier.length || 1)];
    if (!target) return undefined;
    await requestRollback(app.database, { name, version: target.version, reason: 'it was right', principal: person });
    return { name, rolledBackTo: target.version };
  },
  async call(name) {
    await call(name, {});
    return {};
  },
};

// What two at once may be told; anything else is a fault of ours.
const expected = ['conflict', 'not_found', 'not_approved', 'unknown_tool', 'check_failed'];

const watch = setInterval(watchDelay, 10);
let lookedAt = performance.now();
const delays: number[] = [];
function watchDelay(): void {
  const now = performance.now();
  delayMs = Math.max(0, now - lookedAt - 10);
  delays.push(delayMs);
  lookedAt = now;
}

async function work(): Promise<void> {
  for (const end = Date.now() + Number(forMs); Date.now() < end; ) {
    const kind = ['save', 'save', 'decide', 'decide', 'rollBack', 'rollBack', 'call', 'call'][random(8)] ?? 'call';
    try {
      const fact = await changes[kind]?.(names[random(names.length)] ?? '');
      if (fact) say({ kind, ...fact });
    } catch (error) {
      const { code, message } = error as { code?: string; message: string };
      say(expected.includes(code ?? '') ? { refused: code, kind } : { fault: code ?? 'none', message, kind });
    }
    await nextTurn();
  }
}

say({ ready: true });
await Promise.all(Array.from({ length: Number(lanes) }, work));
clearInterval(watch);
delays.sort((a, b) => a - b);
say({ over: true, p99: delays[Math.floor(delays.length * 0.99)] ?? 0, worst: delays.at(-1) ?? 0 });
await app.close();
