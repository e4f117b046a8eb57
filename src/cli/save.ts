import type { Command } from 'commander';
import type { Saved } from '../library/save.ts';
import { action, addCommand, cliRequest, withApp } from './command.ts';
import { readDraft } from './draft-file.ts';
import { print, waitsForApproval } from './output.ts';

/** `toolweaver save`: a skill from a file or a folder. */
export function addSave(program: Command, env: NodeJS.ProcessEnv): void {
  addCommand(
    program,
    'save <path>',
    'Save a skill from a folder (skill.json and skill.ts or skill.js) or from one JSON or YAML file.',
    'toolweaver save examples/csv_summary',
  ).action(
    action(env, (cli, path) =>
      withApp(cli, async ({ call }) => {
        const outcome = await call(cliRequest(cli, 'save_skill', await readDraft(String(path))));
        if (outcome.status === 'failed') throw outcome.error;
        if (outcome.status !== 'done') return 1;
        const saved = outcome.value as Omit<Saved, 'examples'> & { examples: string };
        print(cli.asJson, saved, () => toText(saved));
        return saved.review ? waitsForApproval : 0;
      }),
    ),
  );
}

function toText(saved: Omit<Saved, 'examples'> & { examples: string }): string {
  const { name, version, state, changed, review, examples, risk } = saved;
  const head = changed ? `Saved ${name} ${version}` : `${name} ${version} was saved before, nothing changed`;
  const next = review
    ? `It waits for a person (${review.why}): toolweaver review approve ${review.id}`
    : `Call it: toolweaver call ${name} '{…}'`;
  return `${head}: ${state}, risk ${risk}, examples ${examples}.\n${next}`;
}
