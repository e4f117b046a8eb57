import type { Command } from 'commander';
import { localTenant } from '../access/principals.ts';
import type { App } from '../app.ts';
import { decide, listReviews, type Verdict } from '../approval/reviews.ts';
import { WeaverError } from '../errors.ts';
import { libraryReviewEnds } from '../library/decide.ts';
import { reviewText } from '../library/review-text.ts';
import { type ReviewView, viewReview } from '../library/review-view.ts';
import { createKeyring } from '../secrets/keyring.ts';
import { replayFor } from '../skills/replay-review.ts';
import { brief } from '../tools/reviews.ts';
import { action, addCommand, type Cli, cliPrincipal, withApp } from './command.ts';
import { columns, isTerminal, print } from './output.ts';

const listed = 100;

/** `toolweaver review`: what waits, what it is about, and a person's decision. */
export function addReview(program: Command, env: NodeJS.ProcessEnv): void {
  const review = program.command('review').description('List, show and decide reviews.');
  addCommand(review, 'list', 'List reviews that wait for a person.', 'toolweaver review list --all')
    .option('--all', 'closed reviews too')
    .action(action(env, (cli) => withApp(cli, (app) => list(cli, app))));
  addCommand(
    review,
    'show <id>',
    'Show what a review is about: the differences and the findings.',
    'toolweaver review show k7m2p4qx',
  ).action(action(env, (cli, id) => withApp(cli, (app) => show(cli, app, String(id)))));
  addVerdict(review, env, 'approve', 'approved');
  addVerdict(review, env, 'reject', 'rejected');
}

function addVerdict(review: Command, env: NodeJS.ProcessEnv, name: string, verdict: Verdict): void {
  addCommand(
    review,
    `${name} <id>`,
    `Show a review and ${name} it. Only at a terminal, because only a person decides.`,
    `toolweaver review ${name} k7m2p4qx --comment "read it, tried it"`,
  )
    .option('--comment <text>', 'why; kept with the decision')
    .option('--yes', 'do not ask again after showing it')
    .action(action(env, (cli, id) => withApp(cli, (app) => settle(cli, app, String(id), verdict))));
}

async function list(cli: Cli, { database }: App): Promise<number> {
  const reviews = await listReviews(database.read, localTenant, cli.options.all ? undefined : 'open', listed);
  const rows = reviews
    .map(brief)
    .map((one) => [one.id, one.subject, `${one.name} ${one.version}`, one.state, one.why ?? '']);
  print(cli.asJson, { reviews: reviews.map(brief) }, () =>
    rows.length === 0 ? 'Nothing waits for a decision.' : columns([['ID', 'ABOUT', 'WHAT', 'STATE', 'WHY'], ...rows]),
  );
  return 0;
}

async function show(cli: Cli, app: App, id: string): Promise<number> {
  const view = await viewWithReplay(cli, app, id);
  print(cli.asJson, view, await reviewText(view));
  return 0;
}

async function viewWithReplay({ signal }: Cli, { database, sandbox, config }: App, id: string): Promise<ReviewView> {
  const view = await viewReview(database.read, localTenant, id);
  const { name, version } = view.review.subject;
  const parts = { database, sandbox, ring: createKeyring(config) };
  const replay = await replayFor(parts, { tenant: localTenant, name, version }, signal);
  return { ...view, ...(replay && { replay }) };
}

async function settle(cli: Cli, app: App, id: string, verdict: Verdict): Promise<number> {
  const comment = cli.options.comment as string | undefined;
  if (!isTerminal()) {
    throw new WeaverError('needs_person', `Review ${id} is decided at a terminal, by a person.`, {
      hint: `Open a terminal and run: toolweaver review ${verdict === 'approved' ? 'approve' : 'reject'} ${id}`,
    });
  }
  const view = await viewWithReplay(cli, app, id);
  if (!cli.asJson) print(false, view, await reviewText(view));
  const isOpen = view.review.state === 'open';
  if (
    isOpen &&
    !cli.options.yes &&
    !(await confirm(`${verdict === 'approved' ? 'Approve' : 'Reject'} exactly this?`))
  ) {
    throw new WeaverError('cancelled', 'Nothing was decided.', { hint: 'Run the command again to decide.' });
  }
  const { seal } = view.review.subject;
  const closed = await app.database.write((trx) =>
    decide(trx, libraryReviewEnds, cliPrincipal(), { id, verdict, seal, comment, how: 'cli' }, Date.now()),
  );
  const { name, version } = closed.subject;
  print(cli.asJson, closed, `Review ${id} ${verdict}: ${name} ${version}.`);
  return 0;
}

async function confirm(message: string): Promise<boolean> {
  const prompts = await import('@clack/prompts');
  const answer = await prompts.confirm({ message, initialValue: false });
  return !prompts.isCancel(answer) && answer;
}
