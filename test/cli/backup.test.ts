import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { draft } from '../helpers/app.ts';
import { type CliResult, makeHome, runCli, startServer, until } from '../helpers/process.ts';

const run = (home: string, ...args: string[]): Promise<CliResult> => runCli([...args, '--json'], { home });
const answerOf = ({ stdout }: CliResult) => JSON.parse(stdout);
const errorOf = ({ stderr }: CliResult) => JSON.parse(stderr).error;

/** The draft of a skill named `name` that adds a number. */
const adds = (name: string, n: number) =>
  draft({
    name,
    code: `export default (input) => ({ y: input.x + ${n} });`,
    examples: [{ input: { x: 1 }, output: { y: 1 + n } }],
  });

describe('the care of what is kept', () => {
  it('backs up while a server saves, restores only when it has ended, and finds all sound', async () => {
    const [home, elsewhere] = [makeHome(), makeHome()];
    const server = await startServer({ home });
    let saved = 0;
    let isOver = false;
    const saving = (async () => {
      while (!isOver) {
        const { result } = await server.callTool('save_skill', adds(`skill-${saved % 4}`, saved));
        expect(result.structuredContent).toMatchObject({ state: 'active' });
        saved++;
      }
    })();
    await until(() => saved >= 4);
    const before = saved;
    const copy = join(elsewhere, 'copy.db');
    const backup = await run(home, 'backup', copy);
    expect([backup.code, answerOf(backup)]).toEqual([0, { file: copy, bytes: expect.any(Number) }]);
    await run(home, 'backup', copy).then((again) => expect([again.code, errorOf(again).code]).toEqual([1, 'conflict']));
    const used = await run(home, 'restore', copy);
    expect([used.code, errorOf(used).code]).toEqual([1, 'busy']);
    isOver = true;
    await saving;
    server.child.stdin.end();
    await server.ended;
    expect(answerOf(await run(home, 'verify'))).toMatchObject({ versions: saved, faults: [] });

    const restored = await run(home, 'restore', copy);
    expect([restored.code, answerOf(restored).file]).toEqual([0, join(home, 'toolweaver.db')]);
    const { versions, faults } = answerOf(await run(home, 'verify'));
    expect([versions >= before && versions <= saved, faults]).toEqual([true, []]);
    const aside = readdirSync(home).find((name) => name.includes('before')) ?? '';
    expect(answerOf(await run(home, 'restore', join(home, aside)))).toMatchObject({ before: expect.any(String) });
    expect(answerOf(await run(home, 'verify'))).toMatchObject({ versions: saved, faults: [] });
  });

  it('restores a backup to a home that was empty', async () => {
    const [home, other] = [makeHome(), makeHome()];
    writeFileSync(join(home, 'draft.json'), JSON.stringify(adds('kept', 1)));
    expect((await run(home, 'save', join(home, 'draft.json'))).code).toBe(0);
    await run(home, 'backup', join(other, 'copy.db'));
    const empty = join(other, 'not', 'made');
    const restored = await run(empty, 'restore', join(other, 'copy.db'));
    expect([restored.code, restored.stderr]).toEqual([0, '']);
    const called = await run(empty, 'call', 'kept', '{"x":1}');
    expect([called.code, answerOf(called)]).toEqual([0, { y: 2 }]);
  });

  it('ends with 1 and names what is wrong when something is', async () => {
    const home = makeHome();
    writeFileSync(join(home, 'draft.json'), JSON.stringify(adds('altered', 1)));
    await run(home, 'save', join(home, 'draft.json'));
    const raw = new Database(join(home, 'toolweaver.db'));
    raw.exec(`update versions set manifest = replace(manifest, 'Doubles', 'Deletes')`);
    raw.close();
    const { code, stdout } = await runCli(['verify'], { home });
    expect(code).toBe(1);
    expect(stdout).toMatch(/1 faults?\.\nseal +altered@1\.0\.0 +it is not what was sealed/);
  });

  it('gives back the space of what nothing names', async () => {
    const home = makeHome();
    await run(home, 'list');
    const raw = new Database(join(home, 'toolweaver.db'));
    raw.prepare("insert into blobs (tenant, hash, bytes) values ('local', 'x', ?)").run(Buffer.alloc(3_000_000, 1));
    const size = () => Number(raw.pragma('page_count', { simple: true }));
    const before = size();
    expect(answerOf(await run(home, 'compact'))).toEqual({ runs: 0, blobs: 1 });
    expect(size()).toBeLessThan(before / 2);
    raw.close();
  });
});
