import { describe, expect, it } from 'vitest';
import type { TestApp } from '../helpers/app.ts';
import { person, testApp } from '../helpers/app.ts';
import { lenient, saveSkill } from '../helpers/drafts.ts';

async function withTwo(): Promise<TestApp> {
  const app = await testApp(lenient);
  await saveSkill(app, 'tell', 'return { n: 1 };');
  await saveSkill(app, 'tell', 'return { n: 2 };');
  return app;
}
const back = { name: 'tell', version: '1.0.0', reason: 'two was wrong' };
const statesOf = async (app: TestApp) => {
  const { versions } = (await app.use('list_versions', { name: 'tell' })) as { versions: Record<string, string>[] };
  return Object.fromEntries(versions.map(({ version, state }) => [version, state]));
};

describe('rolling back', () => {
  it('is done at once for a person, says why, and deletes nothing', async () => {
    const app = await withTwo();
    expect(await app.use('rollback', back, { principal: person })).toEqual({
      name: 'tell',
      version: '1.0.0',
      state: 'active',
    });
    expect(await app.use('tell')).toEqual({ n: 1 });
    expect(await app.use('tell@1.0.1')).toEqual({ n: 2 });
    expect(await app.use('list_versions', { name: 'tell' })).toMatchObject({
      versions: [
        { version: '1.0.1', state: 'superseded' },
        { version: '1.0.0', state: 'active', reason: 'rolled back: two was wrong' },
      ],
    });
  });

  it('is a request when an agent asks, which a person decides', async () => {
    const app = await withTwo();
    const asked = (await app.use('rollback', back)) as { review: { id: string } };
    expect(asked).toMatchObject({ state: 'requested', review: { why: expect.stringContaining('person') } });
    expect(await app.use('tell')).toEqual({ n: 2 });
    expect(await app.use('list_reviews')).toMatchObject({
      reviews: [{ id: asked.review.id, subject: 'rollback', name: 'tell', version: '1.0.0' }],
    });
    await app.decide('approved');
    expect(await app.use('tell')).toEqual({ n: 1 });
  });

  it('asked for twice is one request', async () => {
    const app = await withTwo();
    const first = await app.use('rollback', back);
    expect(await app.use('rollback', { ...back, reason: 'still wrong' })).toEqual(first);
  });

  it('that a person refuses changes nothing', async () => {
    const app = await withTwo();
    await app.use('rollback', back);
    await app.decide('rejected', 'two is right');
    expect(await app.use('tell')).toEqual({ n: 2 });
    expect(await statesOf(app)).toEqual({ '1.0.1': 'active', '1.0.0': 'superseded' });
  });

  it('by a person closes what agents asked for', async () => {
    const app = await withTwo();
    await app.use('rollback', back);
    await app.use('rollback', back, { principal: person });
    expect(await app.use('list_reviews')).toEqual({ reviews: [] });
    expect(await app.use('list_reviews', { state: 'voided' })).toMatchObject({ reviews: [{ subject: 'rollback' }] });
  });

  it('can be undone by rolling forward', async () => {
    const app = await withTwo();
    await app.use('rollback', back, { principal: person });
    await app.use('rollback', { ...back, version: '1.0.1' }, { principal: person });
    expect(await app.use('tell')).toEqual({ n: 2 });
  });

  it.each([
    ['a version that does not exist', '9.0.0', 'not_found'],
    ['a version that is no version', 'first', 'not_found'],
    ['the active version', '1.0.1', 'conflict'],
  ])('to %s is refused to everybody', async (_, version, code) => {
    const app = await withTwo();
    for (const principal of [person, undefined]) {
      const asked = app.outcome('rollback', { ...back, version }, principal && { principal });
      expect(await asked).toMatchObject({ status: 'failed', error: { code } });
    }
    expect(await app.use('list_reviews')).toEqual({ reviews: [] });
  });

  it('to what nobody has let run is refused: pending, and rejected', async () => {
    const app = await testApp();
    await saveSkill(app, 'tell', 'return { n: 1 };');
    const refused = { status: 'failed', error: { code: 'not_approved' } };
    expect(await app.outcome('rollback', back, { principal: person })).toMatchObject(refused);
    await app.decide('rejected');
    expect(await app.outcome('rollback', back, { principal: person })).toMatchObject(refused);
  });

  it('is noticed by the next save, which goes on counting from the latest', async () => {
    const app = await withTwo();
    await app.use('rollback', back, { principal: person });
    expect(await saveSkill(app, 'tell', 'return { n: 3 };')).toMatchObject({ version: '1.0.2', state: 'active' });
    expect(await statesOf(app)).toEqual({ '1.0.2': 'active', '1.0.1': 'superseded', '1.0.0': 'superseded' });
  });

  it('leaves a range to the active version, not to the one that was rolled back', async () => {
    const app = await withTwo();
    await app.use('rollback', back, { principal: person });
    expect(await app.use('tell@^1')).toEqual({ n: 1 });
    await saveSkill(app, 'user', "return ctx.call('tell@^1', {});");
    expect(await app.use('user')).toEqual({ n: 1 });
  });

  it.each([
    ['name', ''],
    ['version', ''],
    ['reason', ''],
    ['reason', undefined],
    ['reason', 'x'.repeat(501)],
  ])('needs a good %s: %j', async (field, value) => {
    const app = await testApp();
    await expect(app.use('rollback', { ...back, [field]: value })).rejects.toMatchObject({
      code: 'bad_input',
      message: expect.stringContaining(field),
    });
  });
});
