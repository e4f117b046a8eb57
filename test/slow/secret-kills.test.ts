import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { createKeyring } from '../../src/secrets/keyring.ts';
import { rotateSecrets } from '../../src/secrets/rotate.ts';
import { openSecret, setSecret } from '../../src/secrets/table.ts';
import { openDatabase } from '../../src/store/database.ts';
import { person } from '../helpers/app.ts';
import { atEnd, command, makeHome, until } from '../helpers/process.ts';

const rounds = 40;
const count = 400;

it(`secrets stay readable whenever their rotation is killed (${rounds} times)`, async () => {
  const home = makeHome();
  const database = await openDatabase(join(home, 'toolweaver.db'));
  atEnd(() => database.close());
  const ring = createKeyring({ home });
  const names = Array.from({ length: count }, (_, i) => `TOKEN_${i}`);
  for (const name of names)
    await setSecret(database, ring, person, { name, value: `value of ${name}`, hosts: ['a.com'] }, 0);
  const lines = () =>
    readFileSync(join(home, 'secrets.key'), 'utf8')
      .split('\n')
      .filter((line) => /^[0-9a-f]{64}$/.test(line));
  const states = new Set<string>();
  for (let round = 0; round < rounds; round++) {
    const before = lines().join();
    const child = spawn(process.execPath, [command, 'secret', 'rotate'], {
      env: { PATH: process.env.PATH ?? '', HOME: home, TOOLWEAVER_HOME: home },
      stdio: 'ignore',
    });
    const ended = once(child, 'close');
    // From the moment on at which a new key stands in the file: what comes before changes nothing.
    await until(() => lines().join() !== before || child.exitCode !== null, 10_000);
    await sleep((round * 7) % 150);
    child.kill('SIGKILL');
    await ended;
    const used = await database.read.selectFrom('secrets').select('key').distinct().execute();
    expect(used).toHaveLength(1);
    states.add(`${lines().length} keys, killed: ${child.signalCode !== null}`);
    for (const name of names.filter((_, i) => i % 40 === round % 40)) {
      expect((await openSecret(database, ring, 'local', name)).value).toBe(`value of ${name}`);
    }
    await setSecret(database, ring, person, { name: 'TOKEN_0', value: 'value of TOKEN_0', hosts: ['a.com'] }, round);
  }
  // It was killed both while two keys stood there and after.
  expect(states.has('2 keys, killed: true')).toBe(true);
  expect((await rotateSecrets(database, ring)).count).toBe(count);
  expect(lines()).toHaveLength(1);
  for (const name of names) expect((await openSecret(database, ring, 'local', name)).value).toBe(`value of ${name}`);
});
