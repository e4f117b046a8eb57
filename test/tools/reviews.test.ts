import { describe, expect, it } from 'vitest';
import { testApp } from '../helpers/app.ts';
import { bare } from '../helpers/drafts.ts';

describe('list_reviews', () => {
  it('shows what waits, or what was decided, as it is asked', async () => {
    const app = await testApp();
    for (const name of ['one', 'two', 'three']) await app.use('save_skill', bare({ name }));
    const namesOf = async (input: object) => {
      const { reviews } = (await app.use('list_reviews', input)) as { reviews: { name: string }[] };
      return reviews.map(({ name }) => name).sort();
    };
    expect(await namesOf({})).toEqual(['one', 'three', 'two']);
    expect(await namesOf({ limit: 2 })).toHaveLength(2);
    expect(await namesOf({ state: 'approved' })).toEqual([]);
    await app.decide('approved');
    expect(await namesOf({ state: 'approved' })).toHaveLength(1);
    expect(await namesOf({})).toHaveLength(2);
    expect(await namesOf({ state: 'all' })).toHaveLength(3);
  });

  it.each([
    ['state', 'closed'],
    ['limit', 0],
    ['limit', 101],
    ['limit', '5'],
  ])('takes no %s %j', async (field, value) => {
    const app = await testApp();
    await expect(app.use('list_reviews', { [field]: value })).rejects.toMatchObject({
      code: 'bad_input',
      message: expect.stringContaining(`input.${field}`),
    });
  });
});

describe('decide_review', () => {
  it('is not reached through call_read_tool, which hosts allow once and for all', async () => {
    const app = await testApp();
    await app.use('save_skill', bare({ name: 'one' }));
    const { reviews } = (await app.use('list_reviews')) as { reviews: { id: string }[] };
    const input = { name: 'decide_review', input: { id: reviews[0]?.id } };
    await expect(app.use('call_read_tool', input)).rejects.toMatchObject({ code: 'not_allowed' });
    expect(app.catalog.get('local', 'decide_review')?.annotations.readOnlyHint).toBe(false);
  });
});
