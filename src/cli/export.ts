import { type Command, Option } from 'commander';
import { localTenant } from '../access/principals.ts';
import { type FormatName, formatNames, formatTools } from '../catalog/formats.ts';
import { action, addCommand, withApp } from './command.ts';
import { print } from './output.ts';

/** `toolweaver export`: the tools in the form of an LLM API. */
export function addExport(program: Command, env: NodeJS.ProcessEnv): void {
  addCommand(
    program,
    'export',
    'Print the list of tools as an LLM API takes it.',
    'toolweaver export --format openai > tools.json',
  )
    .addOption(new Option('--format <format>', 'of which API').choices([...formatNames]).default('mcp'))
    .action(
      action(env, (cli) =>
        withApp(cli, async ({ catalog }) => {
          print(true, formatTools(cli.options.format as FormatName, catalog.list(localTenant)), '');
          return 0;
        }),
      ),
    );
}
