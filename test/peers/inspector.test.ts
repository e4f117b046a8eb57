import { beforeAll, describe, expect, it } from 'vitest';
import { listedBuiltins } from '../../src/tools/index.ts';
import { draft } from '../helpers/app.ts';
import { makeHome } from '../helpers/process.ts';
import { type Target, targetOf } from './exam.ts';
import { askingServer, hasPeers, npmFile, peersMissing, run } from './foreign.ts';
import { copyOf, homeWithSkills, manySkills } from './homes.ts';

const inspector = npmFile('@modelcontextprotocol/inspector/clients/launcher/build/index.js');
const combinations = (['stdio', 'HTTP'] as const).flatMap((transport) =>
  (['legacy', 'modern'] as const).map((era) => ({ transport, era })),
);

/** The words that name the server, as the Inspector's users give them. */
const words = (target: Target): string[] =>
  target.transport === 'HTTP'
    ? [target.url, '--transport', 'http', '--header', `Authorization: Bearer ${target.token}`]
    : [
        ...Object.entries(target.env).flatMap(([name, value]) => ['-e', `${name}=${value}`]),
        target.command,
        ...target.args,
      ];

async function inspect(target: Target, era: string, args: readonly string[]) {
  const ended = await run(process.execPath, [
    inspector,
    '--cli',
    ...words(target),
    '--protocol-era',
    era,
    '--format',
    'json',
    '--method',
    ...args,
  ]);
  return { ...ended, result: ended.stdout === '' ? undefined : JSON.parse(ended.stdout).result };
}

const callWords = (name: string, input: object): string[] => [
  'tools/call',
  '--tool-name',
  name,
  '--tool-args-json',
  JSON.stringify(input),
];

let seeded = '';
beforeAll(async () => {
  if (hasPeers) seeded = await homeWithSkills();
});

describe.skipIf(!hasPeers).each(combinations)(
  `the Inspector over $transport, $era${peersMissing}`,
  ({ transport, era }) => {
    let target: Target;
    beforeAll(async () => {
      target = await targetOf(transport, copyOf(seeded));
    });

    it('finds all tools, and no error in any schema', async () => {
      const { code, result, stderr } = await inspect(target, era, ['tools/list', '--strict']);
      expect(stderr).toContain('0 errors');
      expect(code).toBe(0);
      expect(result.tools.length).toBeGreaterThanOrEqual(listedBuiltins.length + manySkills);
    });

    it('saves a skill and calls it', async () => {
      const code = 'export default (input) => ({ y: input.x / 2 });';
      const examples = [{ input: { x: 4 }, output: { y: 2 } }];
      const skill = draft({ name: 'halves', description: 'Halves a number.', code, examples });
      expect(await inspect(target, era, callWords('save_skill', skill))).toMatchObject({ code: 0 });
      const called = await inspect(target, era, callWords('halves', { x: 42 }));
      expect(called).toMatchObject({ code: 0, result: { structuredContent: { y: 21 } } });
    });

    it('reads resources and prompts', async () => {
      const read = await inspect(target, era, ['resources/read', '--uri', 'toolweaver://tools/counts']);
      expect(read.result.contents[0].text).toContain('Counts to three');
      const prompt = await inspect(target, era, [
        'prompts/get',
        '--prompt-name',
        'write_skill',
        '--prompt-args',
        'need=halve numbers',
      ]);
      expect(JSON.stringify(prompt.result)).toContain('halve numbers');
    });

    it('says what failed: no such tool, a wrong input', async () => {
      const unknown = await inspect(target, era, callWords('no_such_tool', {}));
      expect(unknown).toMatchObject({ code: 5, stderr: expect.stringContaining('tool_not_found') });
      const wrong = await inspect(target, era, callWords('counts', { x: 'seven' }));
      expect(wrong.code).not.toBe(0);
      expect(wrong.stdout + wrong.stderr).toContain('[bad_input]');
    });

    it('shows a question, since nobody can answer it there', async () => {
      const asking = await targetOf(transport, makeHome(), askingServer);
      const asked = await inspect(asking, era, callWords('ask_name', {}));
      expect(asked).toMatchObject({ code: 0, result: { structuredContent: { status: 'asks' } } });
    });
  },
);

it.skipIf(!hasPeers)(`the Inspector is refused with a wrong token${peersMissing}`, async () => {
  const target = await targetOf('HTTP', makeHome());
  const refused = await inspect({ ...target, token: 'tw_wrong' } as Target, 'modern', ['tools/list']);
  expect(refused).toMatchObject({ code: 3, stdout: '', stderr: expect.stringContaining('auth_required') });
});
