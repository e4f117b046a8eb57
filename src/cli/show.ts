import type { Command } from 'commander';
import { action, addCommand, cliRequest, withApp } from './command.ts';
import { print } from './output.ts';

/** `toolweaver show`: everything about one tool. */
export function addShow(program: Command, env: NodeJS.ProcessEnv): void {
  addCommand(
    program,
    'show <name>',
    'Show everything about one tool, its source included.',
    'toolweaver show csv_summary\ntoolweaver show csv_summary@1.0.0',
  ).action(
    action(env, (cli, name) =>
      withApp(cli, async ({ call }) => {
        const outcome = await call(cliRequest(cli, 'describe_tool', { name, with_code: true }));
        if (outcome.status === 'failed') throw outcome.error;
        if (outcome.status !== 'done') return 1;
        const value = outcome.value as Record<string, unknown>;
        print(cli.asJson, value, () => toText(value));
        return 0;
      }),
    ),
  );
}

function toText({ code, signature, description, ...rest }: Record<string, unknown>): string {
  const facts = Object.entries(rest).map(
    ([key, value]) => `${key}: ${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  return [signature, description, '', ...facts, ...(code === undefined ? [] : ['', code])].join('\n');
}
