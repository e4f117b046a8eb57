import type { Command } from 'commander';
import { localTenant } from '../access/principals.ts';
import { action, addCommand, withApp } from './command.ts';
import { columns, print } from './output.ts';

/** `toolweaver list`: all tools callable now. */
export function addList(program: Command, env: NodeJS.ProcessEnv): void {
  addCommand(program, 'list', 'List every tool that can be called now.', 'toolweaver list --json').action(
    action(env, (cli) =>
      withApp(cli, async ({ catalog }) => {
        const tools = catalog.list(localTenant).map(({ name, kind, version, risk, description }) => ({
          name,
          kind,
          version: version ?? null,
          risk,
          description,
        }));
        const rows = tools.map((tool) => [
          tool.name,
          tool.version ?? tool.kind,
          tool.risk,
          firstLine(tool.description),
        ]);
        print(cli.asJson, { tools }, () => columns([['NAME', 'VERSION', 'RISK', 'DESCRIPTION'], ...rows]));
        return 0;
      }),
    ),
  );
}

const width = 80;

/** One line of at most 80 characters. */
export function firstLine(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ').trim();
  return line.length <= width ? line : `${line.slice(0, width - 1)}…`;
}
