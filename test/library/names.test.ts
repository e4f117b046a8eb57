import { describe, expect, it } from 'vitest';
import { testApp } from '../helpers/app.ts';
import { bare, lenient } from '../helpers/drafts.ts';

describe('a name', () => {
  it.each(['Csv_Summary', 'csv-summary', 'csvsummary', 'CSV SUMMARY', 'csv__summary'])(
    'is taken when it differs from %s only in case or separators',
    async (name) => {
      const app = await testApp(lenient);
      await app.use('save_skill', bare({ name: 'csv_summary' }));
      await expect(app.use('save_skill', bare({ name }))).rejects.toMatchObject({
        code: 'name_taken',
        message: expect.stringContaining('csv_summary'),
      });
    },
  );

  it.each(['save_skill', 'saveskill', 'Save-Skill', 'search_tools', 'get_run', 'list_versions'])(
    'is taken by a built-in tool: %s',
    async (name) => {
      const app = await testApp(lenient);
      await expect(app.use('save_skill', bare({ name }))).rejects.toMatchObject({
        code: 'name_taken',
        message: expect.stringContaining('built-in'),
        hint: expect.any(String),
      });
    },
  );

  it('stays taken while its only version waits, and after that was rejected', async () => {
    const app = await testApp();
    await app.use('save_skill', bare({ name: 'csv_summary' }));
    await expect(app.use('save_skill', bare({ name: 'csv-summary' }))).rejects.toMatchObject({ code: 'name_taken' });
    await app.decide('rejected');
    await expect(app.use('save_skill', bare({ name: 'csv-summary' }))).rejects.toMatchObject({ code: 'name_taken' });
  });

  it.each(['a', 'a1', 'csv_summary', 'csv-summary', 'a_b-c', 'x'.repeat(46)])('may be %s', async (name) => {
    const app = await testApp(lenient);
    expect(await app.use('save_skill', bare({ name }))).toMatchObject({ name, state: 'active' });
  });

  it.each(['1a', '_a', 'a_', 'a__b', 'Ab', 'a b', 'a.b', 'a/b', '../a', 'ä', 'аbc', 'x'.repeat(47)])(
    'may not be %s, and a right one is suggested',
    async (name) => {
      const app = await testApp(lenient);
      await expect(app.use('save_skill', bare({ name }))).rejects.toMatchObject({
        code: 'check_failed',
        details: {
          findings: expect.arrayContaining([
            expect.objectContaining({ rule: 'name_form', where: 'name', remedy: expect.stringContaining('such as') }),
          ]),
        },
      });
    },
  );
});
