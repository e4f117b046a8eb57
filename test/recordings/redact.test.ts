import { expect, it, onTestFinished } from 'vitest';
import { createRedact } from '../../src/recordings/redact.ts';
import { createKeyring } from '../../src/secrets/keyring.ts';
import { setSecret } from '../../src/secrets/table.ts';
import { replayText, showReplay } from '../../src/skills/replay-text.ts';
import { openDatabase } from '../../src/store/database.ts';
import { person, temporaryFolder } from '../helpers/app.ts';

const value = 'correct horse battery staple';

async function redacts(isWhole: boolean) {
  const database = await openDatabase(':memory:');
  onTestFinished(() => database.close());
  const ring = createKeyring({ home: temporaryFolder() });
  await setSecret(database, ring, person, { name: 'TOKEN', value, hosts: ['api.example.com'] }, 1);
  return createRedact(database, ring, 'local', { isWhole });
}

it('what is shown of a recording has no secrets, no likely credentials and no long texts', async () => {
  const redact = await redacts(false);
  const long = 'a'.repeat(300);
  expect(
    redact({ [value]: [`it is ${value}`, Buffer.from(value).toString('base64url')], n: 1, none: null, is: true }),
  ).toEqual({
    '[secret:TOKEN]': ['it is [secret:TOKEN]', '[secret:TOKEN]'],
    ...{ n: 1, none: null, is: true },
  });
  expect(redact({ key: `ghp_${'a1B2'.repeat(9)}` })).toEqual({ key: '[withheld: looks like a GitHub token]' });
  const [one, other] = redact([long, `${long.slice(1)}b`]) as string[];
  expect(one).toMatch(/^a{200}… \(300 characters, sha256 [0-9a-f]{12}\)$/);
  expect(one).not.toBe(other);
});

it('shown whole it still has no secrets', async () => {
  const redact = await redacts(true);
  const long = 'a'.repeat(300);
  expect(redact([long, value])).toEqual([long, '[secret:TOKEN]']);
});

it('a difference in what is not shown is told as one', async () => {
  const redact = await redacts(false);
  const [before, after] = ['a1B2', 'b1B2'].map((part) => ({ value: `ghp_${part.repeat(9)}` }));
  const shown = await showReplay(
    { result: 'changed', before: before ?? { value: 1 }, after: after ?? { value: 1 }, notMade: [] },
    redact,
  );
  expect(shown.diff).toContain('only in what is not shown');
});

it('of a long difference the beginning is shown, unless it is to be shown whole', async () => {
  const redact = await redacts(false);
  const lines = (from: number) => ({ value: Array.from({ length: 300 }, (_, n) => n * from) });
  const shown = await showReplay({ result: 'changed', before: lines(1), after: lines(2), notMade: [] }, redact);
  expect(replayText(shown, false).split('\n').length).toBeLessThan(210);
  expect(replayText(shown, false)).toMatch(/… \d+ more lines; --whole shows them/);
  expect(replayText(shown, true).split('\n').length).toBeGreaterThan(400);
});
