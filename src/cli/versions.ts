import type { Command } from 'commander';
import { action, addCommand, cliRequest, withApp } from './command.ts';
import { columns, print } from './output.ts';

interface Row {
  version: string;
  state: string;
  risk: string;
  created_at: string;
  created_by: string;
  reason?: string;
}

/** `toolweaver versions`: the history of an entry. */
export function addVersions(program: Command, env: NodeJS.ProcessEnv): void {
  addCommand(
    program,
    'versions <name>',
    'Show the versions of a saved skill.',
    'toolweaver versions csv_summary',
  ).action(
    action(env, (cli, name) =>
      withApp(cli, async ({ call }) => {
        const outcome = await call(cliRequest(cli, 'list_versions', { name }));
        if (outcome.status === 'failed') throw outcome.error;
        if (outcome.status !== 'done') return 1;
        const value = outcome.value as { versions: Row[] };
        const rows = value.versions.map((row) => [
          row.version,
          row.state,
          row.risk,
          row.created_at,
          row.created_by,
          row.reason ?? '',
        ]);
        print(cli.asJson, value, () => columns([['VERSION', 'STATE', 'RISK', 'CREATED', 'BY', 'WHY'], ...rows]));
        return 0;
      }),
    ),
  );
}
