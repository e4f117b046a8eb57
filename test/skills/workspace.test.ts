import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openWorkspace, workspaceFolder } from '../../src/skills/workspace.ts';
import { temporaryFolder } from '../helpers/app.ts';

function fresh() {
  const outside = temporaryFolder();
  const root = join(outside, 'space');
  const space = openWorkspace(root);
  const write = (path: string, text: string) => space.write(path, Buffer.from(text));
  const read = async (path: string) => (await space.read(path)).toString();
  return { outside, root, space, write, read };
}

describe('a workspace', () => {
  it('keeps files in folders, replaces, appends, lists and removes them', async () => {
    const { space, write, read, root } = fresh();
    expect(await space.list()).toEqual([]);
    expect(existsSync(root)).toBe(false);
    await write('notes/día 1.txt', 'first');
    await write('notes/día 1.txt', 'second');
    await space.append('notes/día 1.txt', Buffer.from(' third'));
    await space.append('b.bin', Buffer.from([0, 255, 10]));
    expect(await read('notes/día 1.txt')).toBe('second third');
    expect(await space.read('b.bin')).toEqual(Buffer.from([0, 255, 10]));
    expect(await space.list()).toEqual([
      { path: 'b.bin', size: 3 },
      { path: 'notes/día 1.txt', size: 12 },
    ]);
    expect(await space.list('notes')).toEqual([{ path: 'notes/día 1.txt', size: 12 }]);
    expect([await space.remove('b.bin'), await space.remove('b.bin')]).toEqual([true, false]);
    await expect(space.read('b.bin')).rejects.toMatchObject({ code: 'not_found', message: 'There is no file b.bin.' });
  });

  it('reads in parts, and no more than 4 MB at once', async () => {
    const { space } = fresh();
    await space.write('large', Buffer.alloc(4_000_001, 'x'));
    await expect(space.read('large')).rejects.toMatchObject({ code: 'limit_exceeded' });
    expect(await space.read('large', { offset: 3_999_999, length: 10 })).toEqual(Buffer.from('xx'));
    expect(await space.read('large', { offset: 9_000_000, length: 10 })).toEqual(Buffer.alloc(0));
  });

  it.each([
    '..',
    '../x',
    'a/../../x',
    '/etc/passwd',
    'a//b',
    '',
    '.',
    './a',
    'a/.',
    'a\\b',
    'C:\\x',
    'C:x',
    'a\0b',
    'a\nb',
    'a\u202eb',
    '.unfinished-1',
    'x/',
    'nul',
    'con.txt',
    'a.',
    'a ',
    'é'.repeat(101),
    `${'a/'.repeat(16)}a`,
    'x'.repeat(1_001),
    '%2e%2e/x\0',
    'https://x',
    'a*b',
    'a?b',
    'a|b',
    '\ud800',
  ])('refuses the path %j, to read, write, append, list and remove', async (path) => {
    const { space, root } = fresh();
    const refused = { code: 'bad_input' };
    await expect(space.read(path)).rejects.toMatchObject(refused);
    await expect(space.write(path, Buffer.from('x'))).rejects.toMatchObject(refused);
    await expect(space.append(path, Buffer.from('x'))).rejects.toMatchObject(refused);
    if (path !== '') await expect(space.list(path)).rejects.toMatchObject(refused);
    await expect(space.remove(path)).rejects.toMatchObject(refused);
    expect(existsSync(root)).toBe(false);
  });

  it.each([7, null, undefined, ['a'], { path: 'a' }])('refuses %j, which is no path at all', async (path) => {
    await expect(fresh().space.read(path as unknown as string)).rejects.toMatchObject({ code: 'bad_input' });
  });

  it('follows no link, wherever it stands in the path', async () => {
    const { outside, root, space } = fresh();
    await space.write('own/file', Buffer.from('own'));
    writeFileSync(join(outside, 'secret'), 'secret');
    symlinkSync(join(outside, 'secret'), join(root, 'link'));
    symlinkSync(outside, join(root, 'folder'));
    symlinkSync(join(outside, 'none'), join(root, 'dangling'));
    for (const path of ['link', 'folder/secret', 'folder/new', 'dangling', 'folder/sub/new']) {
      const refused = { code: 'not_allowed', message: expect.stringContaining('is a link') };
      await expect(space.read(path)).rejects.toMatchObject(refused);
      await expect(space.write(path, Buffer.from('x'))).rejects.toMatchObject(refused);
      await expect(space.append(path, Buffer.from('x'))).rejects.toMatchObject(refused);
      await expect(space.remove(path)).rejects.toMatchObject(refused);
    }
    await expect(space.list('folder')).rejects.toMatchObject({ code: 'not_allowed' });
    expect(await space.list()).toEqual([{ path: 'own/file', size: 3 }]);
    expect(readFileSync(join(outside, 'secret'), 'utf8')).toBe('secret');
    expect(readdirSync(outside).sort()).toEqual(['secret', 'space']);
  });

  it('holds 1,000 files and no more, also when they come at once', async () => {
    const { space, root, write } = fresh();
    mkdirSync(root);
    for (let n = 0; n < 998; n++) writeFileSync(join(root, `f${n}`), '');
    const ends = await Promise.allSettled(['a', 'b', 'c', 'd'].map((path) => write(path, 'x')));
    expect(ends.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'rejected']);
    await expect(write('e', 'x')).rejects.toMatchObject({ code: 'limit_exceeded', details: { limit: 'files' } });
    await write('a', 'replaced');
    await space.remove('b');
    await write('e', 'x');
  });

  it('holds 100 MB and no more', async () => {
    const { space, root, write } = fresh();
    mkdirSync(root);
    writeFileSync(join(root, 'large'), Buffer.alloc(99_999_990));
    await write('ten', '1234567890');
    await expect(write('one', '1')).rejects.toMatchObject({ code: 'limit_exceeded', details: { limit: 'size' } });
    await expect(space.append('ten', Buffer.from('1'))).rejects.toMatchObject({ details: { limit: 'size' } });
    await write('ten', '1');
    expect((await space.list()).find(({ path }) => path === 'ten')).toEqual({ path: 'ten', size: 1 });
  });

  it('says what a folder is, and that nothing lies in a file', async () => {
    const { space, write } = fresh();
    await write('a/b', 'x');
    await expect(write('a', 'x')).rejects.toMatchObject({ code: 'bad_input' });
    await expect(write('a/b/c', 'x')).rejects.toMatchObject({ code: 'bad_input' });
    await expect(space.read('a')).rejects.toMatchObject({ code: 'bad_input' });
    await expect(space.remove('a')).rejects.toMatchObject({ code: 'bad_input' });
    await expect(space.read('a/b/c')).rejects.toMatchObject({ code: 'bad_input' });
  });

  it('removes what a killed process left half-written, after an hour', async () => {
    const { root, space, write } = fresh();
    await write('a', 'x');
    const [stale, young] = [join(root, '.unfinished-1'), join(root, '.unfinished-2')];
    writeFileSync(stale, 'x');
    writeFileSync(young, 'x');
    utimesSync(stale, 0, 0);
    await write('b', 'x');
    expect([existsSync(stale), existsSync(young)]).toEqual([false, true]);
    expect((await space.list()).map(({ path }) => path)).toEqual(['a', 'b']);
  });

  it('of one tenant is no other’s, whatever its name', () => {
    const of = (tenant: string) => workspaceFolder('/home', tenant, 'csv');
    const folders = ['a', 'A/b', '../a', '..', '.', 'a%2Fb', 'a/b'].map(of);
    expect(new Set(folders).size).toBe(folders.length);
    for (const folder of folders) expect(folder).toMatch(/^\/home\/workspaces\/[^/]+\/csv$/);
    expect(folders.some((folder) => /\/\.+\//.test(folder))).toBe(false);
  });
});
