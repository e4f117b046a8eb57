import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createLog } from '../../src/log.ts';
import { createRecorder, maxRecordingBytes } from '../../src/recordings/recorder.ts';
import {
  forgetExpired,
  insertRecordings,
  listRecordings,
  openRecording,
  sealedRecordings,
} from '../../src/recordings/table.ts';
import { createKeyring } from '../../src/secrets/keyring.ts';
import { rotateSecrets } from '../../src/secrets/rotate.ts';
import { type Database, openDatabase } from '../../src/store/database.ts';
import type { Tables } from '../../src/store/tables.ts';
import { temporaryFolder } from '../helpers/app.ts';
import { newRecording } from '../helpers/recordings.ts';

const now = 1_500;
const key1 = '1'.repeat(64);
const key2 = '2'.repeat(64);

/** A database, the keys of a home, and short words for what is done there. */
async function shelf({ home = temporaryFolder(), key }: { home?: string; key?: string[] } = {}) {
  const database: Database = await openDatabase(':memory:');
  onTestFinished(() => database.close());
  const ring = createKeyring({ home, key });
  return {
    ...{ database, ring, home },
    async put(...recordings: ReturnType<typeof newRecording>[]) {
      const [first] = await ring.ensure();
      await database.write((trx) => insertRecordings(trx, first, recordings, 3, now));
    },
    open: (run: string, tenant = 'local', keys = ring, at = now) => openRecording(database, keys, tenant, run, at),
    list: async (tenant = 'local', at = now) =>
      (await listRecordings(database.read, tenant, { limit: 10 }, at)).map(({ run }) => run),
    change: (fields: Partial<Tables['recordings']>) =>
      database.write((trx) => trx.updateTable('recordings').set(fields).execute()),
    rows: () => database.read.selectFrom('recordings').selectAll().orderBy('run').execute(),
  };
}

const unreadable = expect.objectContaining({ code: 'secret_unreadable', hint: expect.any(String) });

describe('a recording that is kept', () => {
  it('opens by its run and its call, and stands nowhere in plain text', async () => {
    const { put, open, rows } = await shelf();
    const one = newRecording('a');
    await put(one);
    for (const id of ['a', 'call of a']) {
      expect(await open(id)).toEqual({
        info: { ...one.of, code: 'done', at: 1_000, expiresAt: 2_000, bytes: JSON.stringify(one.recording).length },
        recording: one.recording,
      });
    }
    expect(JSON.stringify(await rows())).not.toContain('value of');
    expect(Buffer.from((await rows())[0]?.sealed ?? '', 'base64').toString('latin1')).not.toContain('value of');
  });

  it('is not found by another tenant, nor when it has expired', async () => {
    const { put, open, list } = await shelf();
    await put(newRecording('a'));
    for (const late of [open('a', 'other'), open('a', 'local', undefined, 2_001), open('b'), open('')])
      await expect(late).rejects.toMatchObject({ code: 'not_found', hint: expect.stringContaining('--list') });
    expect([await list(), await list('other'), await list('local', 2_001)]).toEqual([['a'], [], []]);
  });

  it('does not open when a bit of it, or what is said about it, was changed', async () => {
    const changes: Partial<Tables['recordings']>[] = [
      { run: 'b' },
      { tool: 'triple' },
      { version: '1.0.1' },
      { seal: 'another' },
      { engine: 'deno' },
      { principal: 'agent:other' },
      { code: 'skill_failed' },
      { at: 999 },
      { call_id: 'another' },
      { tenant: 'other' },
      { sealed: '' },
      { sealed: 'AAAA' },
    ];
    for (const change of changes) {
      const { put, open, change: alter } = await shelf({ key: [key1] });
      await put(newRecording('a'));
      await alter(change);
      await expect(open(change.run ?? 'a', change.tenant), JSON.stringify(change)).rejects.toEqual(unreadable);
    }
    const { put, open, rows, change } = await shelf({ key: [key1] });
    await put(newRecording('a'));
    const [row] = await rows();
    const bytes = Buffer.from(row?.sealed ?? '', 'base64');
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    await change({ sealed: bytes.toString('base64') });
    await expect(open('a')).rejects.toEqual(unreadable);
  });

  it('needs the key that it is under', async () => {
    const { put, open } = await shelf({ key: [key1] });
    await put(newRecording('a'));
    await expect(open('a', 'local', createKeyring({ home: temporaryFolder(), key: [key2] }))).rejects.toMatchObject({
      code: 'secret_unreadable',
      message: expect.stringContaining('lacks'),
    });
    expect(await open('a', 'local', createKeyring({ home: temporaryFolder(), key: [key2, key1] }))).toBeTruthy();
  });

  it('is one of the latest; older ones of its tenant make room', async () => {
    const { put, list } = await shelf();
    const other = newRecording('z');
    await put({ ...other, of: { ...other.of, tenant: 'other' }, at: 1 });
    for (const [n, run] of ['a', 'b', 'c', 'd', 'e'].entries()) await put(newRecording(run, { at: 1_000 + n }));
    expect(await list()).toEqual(['e', 'd', 'c']);
    await put(...['f', 'g', 'h', 'i'].map((run, n) => newRecording(run, { at: 1_100 + n })));
    expect([await list(), await list('other')]).toEqual([['i', 'h', 'g'], ['z']]);
  });

  it('stays as it is when its run is recorded again', async () => {
    const { put, open } = await shelf();
    const first = newRecording('a');
    await put(first, { ...first, recording: { ...first.recording, seed: 77 } });
    await put({ ...first, recording: { ...first.recording, seed: 99 } });
    expect((await open('a')).recording.seed).toBe(first.recording.seed);
  });

  it('is forgotten by the outbox when it has expired, and the next one is waited for', async () => {
    const { put, database, list } = await shelf();
    await put(newRecording('a', { expiresAt: 2_000 }), newRecording('b', { expiresAt: 3_000 }));
    const messages = await database.read.selectFrom('outbox').select(['topic', 'due_at']).execute();
    expect(messages).toEqual([{ topic: 'forget_recordings', due_at: 2_000 }]);
    expect(await database.write((trx) => forgetExpired(trx, 'local', 2_001))).toBe(3_000);
    expect(await list('local', 0)).toEqual(['b']);
    expect(await database.write((trx) => forgetExpired(trx, 'local', 3_001))).toBeUndefined();
    expect(await list('local', 0)).toEqual([]);
  });
});

describe('a rotation of keys', () => {
  const keysIn = (home: string) =>
    readFileSync(join(home, 'secrets.key'), 'utf8')
      .split('\n')
      .filter((line) => /^[0-9a-f]{64}$/.test(line));

  it('puts recordings under the new key too, also where there are no secrets', async () => {
    const { put, open, rows, database, ring, home } = await shelf();
    await put(newRecording('a'), newRecording('b'));
    const before = keysIn(home);
    const { key } = await rotateSecrets(database, ring, [sealedRecordings]);
    expect([keysIn(home).length, keysIn(home)[0] === before[0]]).toEqual([1, false]);
    expect((await rows()).map((row) => row.key)).toEqual([key, key]);
    expect((await open('a')).recording).toEqual(newRecording('a').recording);
    await rotateSecrets(database, ring, [sealedRecordings]);
    expect((await open('b')).recording).toEqual(newRecording('b').recording);
  });

  it('leaves those that do not open as they are, and keeps the key that they name', async () => {
    const { put, open, rows, database, ring, home, change } = await shelf();
    await put(newRecording('a'));
    await change({ code: 'skill_failed' });
    const [before] = await rows();
    await put(newRecording('b'));
    await rotateSecrets(database, ring, [sealedRecordings]);
    expect((await rows())[0]).toEqual(before);
    expect(keysIn(home)).toHaveLength(2);
    expect((await open('b')).recording).toEqual(newRecording('b').recording);
  });

  it('knows when the newest given key is in use by recordings alone', async () => {
    const { put, database, ring } = await shelf({ key: [key1] });
    await put(newRecording('a'));
    await expect(rotateSecrets(database, ring, [sealedRecordings])).rejects.toMatchObject({ code: 'bad_input' });
    const both = createKeyring({ home: temporaryFolder(), key: [key2, key1] });
    const { key } = await rotateSecrets(database, both, [sealedRecordings]);
    expect((await both.keys())[0]?.id).toBe(key);
    const late = openRecording(database, createKeyring({ home: temporaryFolder(), key: [key2] }), 'local', 'a', now);
    expect((await late).recording.seed).toBe(2);
  });
});

describe('a recorder', () => {
  const { of, recording } = newRecording('a');
  async function recorderOver({ runs = 10, key = [key1] as string[] | undefined } = {}) {
    const made = await shelf({ ...(key && { key }) });
    const lines: { msg: string; [fact: string]: unknown }[] = [];
    const log = createLog('warn', { write: (line) => void lines.push(JSON.parse(line)) });
    const recorder = createRecorder({ database: made.database, ring: made.ring, log, runs, days: 7 });
    return { ...made, recorder, lines };
  }

  it('writes in batches, for as long as days say', async () => {
    const { recorder, rows } = await recorderOver();
    for (let n = 0; n < 5; n++) recorder.keep({ ...of, run: `run ${n}` }, recording, 10);
    expect(await rows()).toEqual([]);
    await recorder.flush();
    const all = await rows();
    expect(all.map(({ run }) => run)).toEqual(['run 0', 'run 1', 'run 2', 'run 3', 'run 4']);
    for (const { at, expires_at } of all) expect(expires_at - at).toBe(7 * 86_400_000);
    recorder.keep({ ...of, run: 'run 5' }, recording, 10);
    await recorder.close();
    expect(await rows()).toHaveLength(6);
  });

  it('says once that it cannot write, and once that it can again; no caller is the worse for it', async () => {
    const { recorder, lines, rows, home } = await recorderOver({ key: undefined });
    const { chmodSync, writeFileSync } = await import('node:fs');
    writeFileSync(join(home, 'secrets.key'), `${key1}\n`, { mode: 0o644 });
    for (const run of ['a', 'b']) {
      recorder.keep({ ...of, run }, recording, 10);
      await recorder.flush();
    }
    expect(lines.map(({ msg }) => msg)).toEqual([expect.stringContaining('cannot be recorded')]);
    chmodSync(join(home, 'secrets.key'), 0o600);
    recorder.keep({ ...of, run: 'c' }, recording, 10);
    await recorder.flush();
    expect(lines[1]).toMatchObject({ lost: 2, msg: 'runs are recorded again' });
    expect((await rows()).map(({ run }) => run)).toEqual(['c']);
    expect(JSON.stringify(lines)).not.toContain(key1);
  });

  it('holds no more than 16 MB that wait to be written', async () => {
    const { recorder, lines, rows } = await recorderOver({ runs: 1_000 });
    for (let n = 0; n < 20; n++) recorder.keep({ ...of, run: `run ${n}` }, recording, maxRecordingBytes);
    const flushed = recorder.flush();
    recorder.keep({ ...of, run: 'while it is written' }, recording, maxRecordingBytes);
    await flushed;
    expect(await rows()).toHaveLength(16);
    expect(lines).toEqual([
      expect.objectContaining({ msg: expect.stringContaining('cannot be recorded') }),
      expect.objectContaining({ msg: 'runs are recorded again', lost: 5 }),
    ]);
    recorder.keep({ ...of, run: 'after that' }, recording, maxRecordingBytes);
    await recorder.flush();
    expect(await rows()).toHaveLength(17);
  });

  it('says of each tool once that a run is too large', async () => {
    const { recorder, lines } = await recorderOver();
    for (const tool of ['one', 'one', 'two', 'one']) recorder.refuse({ ...of, tool });
    expect(lines.map(({ tool, msg }) => [tool, msg])).toEqual(
      ['one', 'two'].map((tool) => [tool, expect.stringContaining('too large')]),
    );
  });
});
