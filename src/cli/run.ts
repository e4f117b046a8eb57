import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { App } from '../app.ts';
import type { Outcome } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import { cancelRun, getRun } from '../runs/read.ts';
import { listRuns, type Run, type RunState } from '../runs/table.ts';
import { brief } from '../tools/runs.ts';
import { action, addCommand, type Cli, cliPrincipal, cliRequest, withApp } from './command.ts';
import { durationMs } from './duration.ts';
import { columns, print, waitsForApproval } from './output.ts';

const pollMs = 250;
const listed = 100;

/** `toolweaver run`: calls that are kept. */
export function addRun(program: Command, env: NodeJS.ProcessEnv): void {
  const run = program.command('run').description('List, show, answer, cancel and await kept calls.');
  addCommand(run, 'list', 'List kept calls, newest first.', 'toolweaver run list').action(
    action(env, (cli) => withApp(cli, (app) => list(cli, app))),
  );
  addCommand(
    run,
    'show <id>',
    'Show where a call stands, and its outcome.',
    'toolweaver run show run_7Gk2mPq4xY0a',
  ).action(
    action(env, (cli, id) =>
      withApp(cli, async (app) => show(cli, await getRun(app.database, cliPrincipal(), String(id), Date.now()))),
    ),
  );
  addCommand(
    run,
    'answer <id> <json>',
    'Answer what a call asks; it goes on with the answer.',
    'toolweaver run answer run_7Gk2mPq4xY0a \'{"yes":true}\'',
  ).action(action(env, (cli, id, json) => withApp(cli, (app) => answer(cli, app, String(id), String(json)))));
  addCommand(
    run,
    'cancel <id>',
    'End a call that is under way or asks.',
    'toolweaver run cancel run_7Gk2mPq4xY0a',
  ).action(
    action(env, (cli, id) =>
      withApp(cli, async (app) => {
        printRun(cli, await cancelRun(app.database, cliPrincipal(), String(id), Date.now()));
        return 0;
      }),
    ),
  );
  addCommand(
    run,
    'wait <id>',
    'Wait until a call has ended or asks.',
    'toolweaver run wait run_7Gk2mPq4xY0a --timeout 10m',
  )
    .option('--timeout <time>', 'wait no longer than this', '1h')
    .action(action(env, (cli, id) => withApp(cli, (app) => wait(cli, app, String(id)))));
}

async function list(cli: Cli, { database }: App): Promise<number> {
  const { tenant } = cliPrincipal();
  const runs = (await listRuns(database.read, tenant, { limit: listed }, Date.now())).map(brief);
  const rows = runs.map((one) => [one.run_id, one.tool, one.status, one.principal, one.started_at]);
  print(cli.asJson, { runs }, () => columns([['ID', 'TOOL', 'STATUS', 'BY', 'STARTED'], ...rows]));
  return 0;
}

const exitCodes = {
  running: 0,
  asks: waitsForApproval,
  done: 0,
  failed: 1,
  cancelled: 1,
} as const satisfies Record<RunState, number>;

function show(cli: Cli, run: Run): number {
  printRun(cli, run);
  return exitCodes[run.state];
}

function printRun(cli: Cli, run: Run): void {
  const whole = { ...brief(run), ...(run.state === 'done' && { value: run.value }) };
  print(cli.asJson, whole, () => JSON.stringify(whole, null, 2));
}

async function answer(cli: Cli, app: App, id: string, json: string): Promise<number> {
  const run = await getRun(app.database, cliPrincipal(), id, Date.now());
  const input = { run_id: id, question_id: run.question?.id ?? '-', answer: parseAnswer(json) };
  const outcome = await app.call(cliRequest(cli, 'answer_run', input));
  if (outcome.status === 'failed') throw outcome.error;
  return printOutcome(cli, outcome);
}

function printOutcome(cli: Cli, outcome: Exclude<Outcome, { status: 'failed' }>): number {
  const value = outcome.status === 'done' ? outcome.value : outcome;
  print(cli.asJson, value, () => JSON.stringify(value, null, 2));
  return outcome.status === 'asks' ? waitsForApproval : 0;
}

function parseAnswer(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (cause) {
    throw new WeaverError('bad_input', `The answer is not JSON: ${(cause as Error).message}`, {
      hint: 'Write \'{"yes":true}\', quoted for the shell.',
      cause,
    });
  }
}

async function wait(cli: Cli, { database }: App, id: string): Promise<number> {
  const giveUpAt = performance.now() + durationMs(String(cli.options.timeout));
  for (;;) {
    const run = await getRun(database, cliPrincipal(), id, Date.now());
    if (run.state !== 'running') return show(cli, run);
    if (cli.signal.aborted) throw new WeaverError('cancelled', `Stopped waiting for ${id}; it goes on.`);
    if (performance.now() > giveUpAt)
      throw new WeaverError('timed_out', `${id} is still running.`, { hint: 'Wait again, or: toolweaver run cancel' });
    await sleep(pollMs);
  }
}
