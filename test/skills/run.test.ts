import { describe, expect, it } from 'vitest';
import { testApp } from '../helpers/app.ts';
import { bare, lenient, saveSkill } from '../helpers/drafts.ts';

const number = { type: 'object', properties: { n: { type: 'number' } }, required: ['n'] };

describe('a skill that runs', () => {
  it('answers what fits its output schema, or bad_output', async () => {
    const app = await testApp(lenient);
    await saveSkill(app, 'tell', 'return input.a;', { output_schema: number });
    expect(await app.use('tell', { a: { n: 1 } })).toEqual({ n: 1 });
    for (const a of [{ n: 'one' }, {}, [1], 'x', 1, null]) {
      await expect(app.use('tell', { a }), JSON.stringify(a)).rejects.toMatchObject({
        code: 'bad_output',
        message: expect.stringContaining('tell'),
      });
    }
  });

  it('without an output schema answers any JSON', async () => {
    const app = await testApp(lenient);
    await saveSkill(app, 'tell', 'return input.a;');
    for (const a of [[1, 'x', null], 'text', 0, false, null, {}]) expect(await app.use('tell', { a })).toEqual(a);
    expect(await app.use('tell', {})).toBeNull();
  });

  const ends: [string, string, string, RegExp][] = [
    ['an answer over 1 MB', "return { a: 'x'.repeat(1000001) };", 'limit_exceeded', /1000000/],
    ['an answer over 1 MB in bytes', "return { a: 'é'.repeat(600000) };", 'limit_exceeded', /1000000/],
    [
      'an answer nested too deep',
      'let a = 1; for (let i = 0; i < 65; i++) a = [a]; return a;',
      'limit_exceeded',
      /deep/,
    ],
    ['an answer that is no JSON', 'return 1n;', 'bad_output', /JSON/],
    ['a circular answer', 'const a = {}; a.a = a; return a;', 'bad_output', /JSON/],
    [
      'an error with the author’s line',
      "\n\nthrow new RangeError('out');",
      'skill_failed',
      /RangeError: out \(line 4\)/,
    ],
    ['a thrown text', "throw 'words';", 'skill_failed', /words/],
    ['a thrown nothing', 'throw undefined;', 'skill_failed', /./],
    ['a name that is not there', 'return globalThis.process.env;', 'skill_failed', /./],
    ['an asynchronous error', "await null; throw new Error('late');", 'skill_failed', /late/],
    ['a promise that is rejected', "return Promise.reject(new Error('no'));", 'skill_failed', /no/],
  ];
  it('ends with an error for what cannot be an answer, and the next call is not the worse for it', async () => {
    const app = await testApp(lenient);
    for (const [what, body, code, message] of ends) {
      await saveSkill(app, 'tell', body);
      await expect(app.use('tell'), what).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    }
    await saveSkill(app, 'tell', 'return { n: 1 };');
    expect(await app.use('tell')).toEqual({ n: 1 });
  });

  it('may answer exactly 64 levels', async () => {
    const app = await testApp(lenient);
    await saveSkill(app, 'tell', 'let a = 1; for (let i = 0; i < 64; i++) a = [a]; return a;');
    expect(JSON.stringify(await app.use('tell'))).toBe(`${'['.repeat(64)}1${']'.repeat(64)}`);
  });

  it('in TypeScript names the author’s line, not that of what runs', async () => {
    const app = await testApp(lenient);
    const code = `interface A {
  a: string;
}

export default function run(input: A): never {
  const a: string = input.a;

  throw new Error(a);
}`;
    await app.use('save_skill', bare({ code, language: 'typescript', input_schema: { type: 'object' } }));
    await expect(app.use('double', { a: 'here' })).rejects.toMatchObject({ details: { line: 8 } });
  });

  it('in JavaScript cannot make up the line by a comment', async () => {
    const app = await testApp(lenient);
    const code = "export default () => { throw new Error('here'); };\n//# lines=1000,1000\n";
    await app.use('save_skill', bare({ code, input_schema: { type: 'object' } }));
    await expect(app.use('double', {})).rejects.toMatchObject({ details: { line: 1 } });
  });

  it('tells how far it is, and reads its one time and seed', async () => {
    const app = await testApp(lenient);
    const body =
      "ctx.progress(1, 2, 'half'); ctx.log('a', 1); return { now: ctx.now(), same: ctx.now() === Date.now(), r: ctx.random() };";
    await saveSkill(app, 'tell', body);
    const heard: unknown[] = [];
    const before = Date.now();
    const value = await app.use('tell', {}, { progress: (step: unknown) => heard.push(step) } as object);
    expect(heard).toEqual([{ done: 1, total: 2, message: 'half' }]);
    expect(value).toMatchObject({ same: true });
    expect((value as { now: number }).now).toBeGreaterThanOrEqual(before);
  });

  it('keeps nothing between calls', async () => {
    const app = await testApp(lenient);
    await saveSkill(
      app,
      'tell',
      'globalThis.n = (globalThis.n ?? 0) + 1; Array.prototype.x = 1; return { n: globalThis.n };',
    );
    expect([await app.use('tell'), await app.use('tell'), await app.use('tell')]).toEqual([
      { n: 1 },
      { n: 1 },
      { n: 1 },
    ]);
  });

  it('with a property __proto__ in its input is handed it as data', async () => {
    const app = await testApp(lenient);
    await saveSkill(app, 'tell', 'return { keys: Object.keys(input), is: input.isAdmin ?? false };');
    expect(await app.use('tell', JSON.parse('{"__proto__":{"isAdmin":true},"a":1}'))).toMatchObject({ is: false });
    expect(({} as { isAdmin?: boolean }).isAdmin).toBeUndefined();
  });
});
