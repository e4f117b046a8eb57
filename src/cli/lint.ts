import type { Command } from 'commander';
import { localTenant } from '../access/principals.ts';
import { lintTools } from '../catalog/lint.ts';
import { action, addCommand, withApp } from './command.ts';
import { columns, print } from './output.ts';

/** `toolweaver lint`: what each host would make of the list. */
export function addLint(program: Command, env: NodeJS.ProcessEnv): void {
  addCommand(
    program,
    'lint',
    'Check every listed tool against the rules of every host: what it would drop or cut, and what each costs of a context.',
    'toolweaver lint --expose auto',
  ).action(
    action(env, (cli) =>
      withApp(cli, async ({ listing, catalog }) => {
        const names = new Set(await listing.names(localTenant));
        const report = lintTools(catalog.list(localTenant).filter((tool) => names.has(tool.name)));
        const { tools, tokens, costs, remarks } = report;
        print(cli.asJson, report, () =>
          [
            `${tools} tools are listed, about ${tokens} tokens in all. The most expensive:`,
            columns(costs.map((one) => [one.tool, String(one.tokens)])),
            '',
            remarks.length === 0
              ? 'Every host takes all of them whole.'
              : columns(remarks.map((one) => [one.effect, one.host, one.tool, one.why])),
          ].join('\n'),
        );
        return remarks.some((one) => one.effect === 'drops') ? 1 : 0;
      }),
    ),
  );
}
