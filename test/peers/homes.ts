import { cpSync } from 'node:fs';
import { openApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config.ts';
import { silentLog } from '../../src/log.ts';
import { agent, draft } from '../helpers/app.ts';
import { makeHome } from '../helpers/process.ts';

/** More skills than one page of tools/list holds. */
export const manySkills = 210;

/** Counts to three, and says so. It rests between: clients lose progress that comes in one piece with the result. */
const counts = draft({
  name: 'counts',
  description: 'Counts to three and says where it is.',
  code: `export default async function run(input, ctx) {
  for (const n of [1, 2, 3]) {
    ctx.progress(n, 3, 'step ' + n);
    for (let i = 0; i < 1_000_000; i++);
  }
  return { y: input.x };
}`,
  examples: [{ input: { x: 1 }, output: { y: 1 } }],
});

/** Adds for some time, so that what uses it takes long without computing much itself. */
const works = draft({
  name: 'works',
  description: 'Adds for some time.',
  code: 'export default (input) => { let y = 0; for (let n = 0; n < input.x; n++) y = n; return { y: input.x }; }',
  examples: [{ input: { x: 1 }, output: { y: 1 } }],
});

/** Goes on for half a minute, unless somebody stops it. */
const patient = draft({
  name: 'patient',
  description: 'Works until somebody stops it.',
  code: `export default async function run(input, ctx) {
  for (let n = 0; n < 900; n++) {
    await ctx.tools.works({ x: 1000000 });
    ctx.progress(n);
  }
  return { y: input.x };
}`,
  examples: [],
});

/** A home in which these drafts are saved. */
export async function homeWith(drafts: readonly Record<string, unknown>[]): Promise<string> {
  const home = makeHome();
  const { config } = loadConfig({}, { home, approval: 'auto' });
  const app = await openApp(config, silentLog);
  for (const input of drafts) {
    const signal = new AbortController().signal;
    const outcome = await app.call({ tool: 'save_skill', input, principal: agent, via: 'system', signal });
    if (outcome.status === 'failed') throw outcome.error;
  }
  await app.close();
  return home;
}

/** A home with many skills, one of which counts and one of which goes on until it is cancelled. */
export function homeWithSkills(): Promise<string> {
  const adding = Array.from({ length: manySkills }, (_, n) =>
    draft({
      name: `adds_${n}`,
      description: `Adds ${n} to a number.`,
      code: `export default (input) => ({ y: input.x + ${n} })`,
      examples: [],
      confirm_distinct: 'It adds another number.',
    }),
  );
  return homeWith([counts, works, patient, ...adding]);
}

/** A copy of a home, which goes when the test file ends. */
export function copyOf(home: string): string {
  const copy = makeHome();
  cpSync(home, copy, { recursive: true });
  return copy;
}
