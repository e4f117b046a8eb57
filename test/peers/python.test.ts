import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { packageRoot } from '../../src/package.ts';
import { listedBuiltins } from '../../src/tools/index.ts';
import { draft } from '../helpers/app.ts';
import { makeHome, until } from '../helpers/process.ts';
import { endsOf, type Target, targetOf } from './exam.ts';
import { askingServer, hasPeers, peersMissing, pythonProgram, run } from './foreign.ts';
import { copyOf, homeWithSkills, manySkills } from './homes.ts';

/** The JSON lines of mcp_client.py. */
interface Step extends Record<string, unknown> {
  step: string;
  ok: boolean;
}

const client = join(packageRoot, 'test/peers/python/mcp_client.py');

/** Where the client finds the server: the last of its words. */
const words = (target: Target): string[] =>
  target.transport === 'HTTP'
    ? ['--http', target.url, '--token', target.token]
    : [
        ...Object.entries(target.env).flatMap(([name, value]) => ['--env', `${name}=${value}`]),
        '--stdio',
        target.command,
        ...target.args,
      ];

async function runClient(args: readonly string[], target: Target): Promise<{ code: number | null; steps: Step[] }> {
  const { code, stdout, stderr } = await run(pythonProgram('python'), [client, ...args, ...words(target)]);
  const steps = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Step);
  if (steps.at(-1)?.step !== 'end') throw new Error(`The client did not end well: ${stdout}\n${stderr}`);
  return { code, steps };
}

const call = (name: string, input: object = {}): string[] => ['--call', name, JSON.stringify(input)];
const only = (steps: readonly Step[], step: string): Step[] => steps.filter((one) => one.step === step);

const halves = draft({
  name: 'halves',
  description: 'Halves a number.',
  code: 'export default (input) => ({ y: input.x / 2 });',
  examples: [{ input: { x: 4 }, output: { y: 2 } }],
});
const versions = { auto: '2026-07-28', legacy: '2025-11-25', '2026-07-28': '2026-07-28' } as const;
const combinations = (['sdk', 'fastmcp'] as const).flatMap((which) =>
  (['stdio', 'HTTP'] as const).flatMap((transport) =>
    (['auto', 'legacy', '2026-07-28'] as const).map((protocol) => ({ which, transport, protocol })),
  ),
);

let seeded = '';
let asking: Record<Target['transport'], Target>;
beforeAll(async () => {
  if (!hasPeers) return;
  seeded = await homeWithSkills();
  const home = makeHome();
  asking = { stdio: await targetOf('stdio', home, askingServer), HTTP: await targetOf('HTTP', home, askingServer) };
});

// Without a probe only the start differs: what follows is that of auto.
const eras = ['auto', 'legacy'];

describe.skipIf(!hasPeers).each(combinations)(
  `the Python client $which over $transport, $protocol${peersMissing}`,
  ({ which, transport, protocol }) => {
    const choice = ['--client', which, '--protocol', protocol];
    let home = '';
    let target: Target;
    beforeAll(async () => {
      home = copyOf(seeded);
      target = await targetOf(transport, home);
    });

    it('reads sound pages, saves a skill, hears of it, calls it, and hears progress', async () => {
      const calls = [...call('save_skill', halves), ...call('halves', { x: 42 }), ...call('counts', { x: 7 })];
      const { code, steps } = await runClient([...choice, ...calls, '--list-changed', '10'], target);
      expect(steps.filter(({ ok }) => !ok)).toEqual([]);
      expect(code).toBe(0);
      expect(only(steps, 'connect')[0]).toMatchObject({ negotiated: versions[protocol] });
      const [list] = only(steps, 'tools');
      expect(list).toMatchObject({ duplicates: [], differ_only_in_case: [], problems: {}, warnings: {} });
      expect(list?.pages).toBeGreaterThan(1);
      expect(list?.count).toBeGreaterThanOrEqual(listedBuiltins.length + manySkills);
      const [, halved, counted] = only(steps, 'call');
      expect(halved).toMatchObject({ result: { structuredContent: { y: 21 } } });
      expect(counted).toMatchObject({ progress_rises: true, progress_count: 3 });
      expect(only(steps, 'list_changed')[0]).toMatchObject({ added: ['halves'], removed: [], notifications: 1 });
    });

    if (!eras.includes(protocol)) return;

    it('is told of a tool that there is not by a protocol error, and a call that it cancels stops', async () => {
      const calls = [...call('no_such_tool'), ...call('patient', { x: 3 })];
      const { steps } = await runClient([...choice, '--expect', 'any', '--cancel-after', '1', ...calls], target);
      const [unknown, cancelled] = only(steps, 'call');
      expect(unknown).toMatchObject({ error: { code: -32602 } });
      expect(cancelled).toMatchObject({ ok: true, canceled_after_s: 1 });
      expect(await until(() => endsOf('patient', home).includes('cancelled'))).toBe(true);
    });

    it('is asked, and its answer goes on with the call; decline and cancel end it', async () => {
      const answers = ['--answer', '{"name":"Ada"}', '--answer', 'decline', '--answer', 'cancel'];
      const calls = Array.from({ length: 3 }, () => call('ask_name')).flat();
      const { steps } = await runClient([...choice, '--expect', 'any', ...answers, ...calls], asking[transport]);
      expect(only(steps, 'elicitation').map(({ message }) => message)).toEqual(Array(3).fill('What is your name?'));
      const [accepted, declined, cancelled] = only(steps, 'call');
      expect(accepted).toMatchObject({ result: { structuredContent: { greeting: 'Hello, Ada!' } } });
      const refused = { result: { isError: true, content: [{ text: expect.stringContaining('[cancelled]') }] } };
      expect(declined).toMatchObject(refused);
      expect(cancelled).toMatchObject(refused);
    });

    it('is given the question as a result where it cannot be asked', async () => {
      const { code, steps } = await runClient([...choice, ...call('ask_name')], asking[transport]);
      expect(code).toBe(0);
      expect(only(steps, 'call')).toMatchObject([{ result: { structuredContent: { status: 'asks' } } }]);
    });
  },
);

describe.skipIf(!hasPeers).each(['sdk', 'fastmcp'])(`the Python client %s${peersMissing}`, (which) => {
  it.each(['auto', 'legacy', '2026-07-28'])('is refused with a wrong token, %s', async (protocol) => {
    const target = { ...asking.HTTP, token: 'tw_wrong' } as Target;
    const { code, steps } = await runClient(['--client', which, '--protocol', protocol, ...call('ask_name')], target);
    expect(code).toBe(1);
    expect(only(steps, 'call').filter(({ result }) => result)).toEqual([]);
  });
});
