import type { Command } from 'commander';
import { localTenant } from '../access/principals.ts';
import { action, addCommand, withApp } from './command.ts';
import { columns, print } from './output.ts';

const hitsShown = 10;

/** `toolweaver search`: which tools fit a need. */
export function addSearch(program: Command, env: NodeJS.ProcessEnv): void {
  addCommand(
    program,
    'search <words...>',
    'Find tools by what they do.',
    'toolweaver search "summarise the columns of a csv"',
  ).action(
    action(env, (cli, words) =>
      withApp(cli, async ({ search }) => {
        const query = (words as unknown as string[]).join(' ');
        const found = search(localTenant, query, hitsShown);
        const rows = found.hits.map((hit) => [hit.name, hit.band, hit.score.toFixed(1), hit.description]);
        print(
          cli.asJson,
          { query, ...found },
          () => found.note ?? columns([['NAME', 'FIT', 'SCORE', 'DESCRIPTION'], ...rows]),
        );
        return 0;
      }),
    ),
  );
}
