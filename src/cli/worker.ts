import type { Command } from 'commander';
import type { App } from '../app.ts';
import { reviveDead } from '../store/outbox.ts';
import { action, addCommand, askedToEnd, type Cli, withApp } from './command.ts';

const graceMs = 5_000;

/** `toolweaver worker`: does what must follow a change and what other processes left, and nothing else. */
export function addWorker(program: Command, env: NodeJS.ProcessEnv): void {
  addCommand(
    program,
    'worker',
    'Go on with runs whose process ended, and do what must follow changes, until it is stopped. Servers do the same.',
    'toolweaver worker\ntoolweaver worker --retry',
  )
    .option('--retry', 'first begin anew what was given up, as doctor shows it')
    .action(action(env, (cli) => withApp(cli, (app) => work(cli, app))));
}

async function work(cli: Cli, { worker, database }: App): Promise<number> {
  const revived = cli.options.retry === true ? await database.write(reviveDead) : 0;
  const stopped = cli.signal.aborted ? undefined : askedToEnd();
  worker.start();
  const place = database.file;
  const said = { working: place, retried: revived };
  const text = `Working on ${place} until Ctrl-C or SIGTERM.${revived > 0 ? ` Trying ${revived} again.` : ''}`;
  process.stdout.write(`${cli.asJson ? JSON.stringify(said) : text}\n`);
  // Nothing else of it keeps a process alive.
  const alive = setInterval(() => {}, 2 ** 30);
  const end = await Promise.race([worker.outdated, stopped]);
  clearInterval(alive);
  await worker.stop(graceMs);
  if (end) throw end;
  return 0;
}
