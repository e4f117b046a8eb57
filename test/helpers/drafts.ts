import type { TestApp } from './app.ts';
import { draft } from './app.ts';

type Fields = Record<string, unknown>;

/** Settings under which every sound draft is active at once, with the sandbox that starts fastest. */
export const lenient = { settings: { approval: 'auto', sandboxThreads: 1 } } as const;

/** A draft without examples, so that saving it runs nothing. */
export const bare = (fields: Fields = {}): Fields => draft({ examples: [], ...fields });

const anything = { type: 'object' };

/** A draft without examples and with open schemas: a name, what its `run` does, and more fields. */
export const skill = (name: string, body: string, fields: Fields = {}): Fields =>
  bare({
    name,
    code: `export default async function run(input, ctx) {\n${body}\n}`,
    input_schema: anything,
    output_schema: undefined,
    ...fields,
  });

/** Saves `skill(name, body, fields)`. */
export const saveSkill = (app: TestApp, name: string, body: string, fields?: Fields): Promise<Fields> =>
  app.use('save_skill', skill(name, body, fields)) as Promise<Fields>;

/** The findings of a failed save. */
export async function findingsOf(
  app: TestApp,
  fields: Fields,
): Promise<{ rule: string; message: string; line?: number }[]> {
  const outcome = await app.outcome('save_skill', fields);
  if (outcome.status !== 'failed' || outcome.error.code !== 'check_failed') {
    throw new Error(`not a failed check: ${JSON.stringify(outcome)}`);
  }
  return outcome.error.details?.findings as { rule: string; message: string; line?: number }[];
}

/** Computes for a moment; `patient` calls it `x` times, and so takes long without being slow itself. */
export const works = draft({
  name: 'works',
  examples: [],
  code: 'export default (i) => { for (let n = 0; n < 4e5; n++); return { y: i.x }; }',
});
export const patient = draft({
  name: 'patient',
  examples: [],
  code: 'export default async (i, ctx) => { for (let n = 0; n < i.x; n++) await ctx.tools.works({ x: n }); return { y: 1 }; }',
});
