import type { Command } from 'commander';
import { metaOf, printable, settingNames } from '../config.ts';
import { action, addCommand } from './command.ts';
import { columns, print } from './output.ts';

/** `toolweaver config`: what holds, and from where. */
export function addConfig(program: Command, env: NodeJS.ProcessEnv): void {
  addCommand(
    program,
    'config',
    'Print every setting that holds and where it came from.',
    'toolweaver config --json',
  ).action(
    action(env, async ({ asJson, loaded: { config, sources, file } }) => {
      const settings = settingNames.map((name) => ({
        name,
        value: printable(name, config) ?? null,
        from: sources[name],
        env: metaOf(name).env,
      }));
      const rows = settings.map((one) => [one.name, JSON.stringify(one.value), one.from, one.env]);
      print(asJson, { file, settings }, () =>
        columns([['SETTING', 'VALUE', 'FROM', 'ENVIRONMENT'], ...rows, ['', '', '', ''], [`file: ${file}`]]),
      );
      return 0;
    }),
  );
}
