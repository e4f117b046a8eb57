import type { Command } from 'commander';
import { localTenant } from '../access/principals.ts';
import type { App } from '../app.ts';
import { WeaverError } from '../errors.ts';
import { createRedact } from '../recordings/redact.ts';
import { listRecordings, openRecording } from '../recordings/table.ts';
import { createKeyring } from '../secrets/keyring.ts';
import { replay } from '../skills/replay.ts';
import { replayText, showReplay } from '../skills/replay-text.ts';
import { action, addCommand, type Cli, withApp } from './command.ts';
import { columns, isTerminal, print } from './output.ts';

const listed = 100;

/** `toolweaver replay`: a recorded run again, without touching the world. */
export function addReplay(program: Command, env: NodeJS.ProcessEnv): void {
  addCommand(
    program,
    'replay [run]',
    'Run a version of a skill on a recorded run, without touching the world, and compare.',
    'toolweaver replay --list\ntoolweaver replay run_7Gk2mPq4xY0a --version 1.1.0',
  )
    .option('--list', 'list the recorded runs, newest first')
    .option('--version <version>', 'the version to run; the recorded one unless given')
    .option('--whole', 'show texts whole, credentials too, but for secrets that are kept here; only at a terminal')
    .action(action(env, (cli, run) => replayOrList(cli, run as string | undefined)));
}

async function replayOrList(cli: Cli, run: string | undefined): Promise<number> {
  const { list, version, whole } = cli.options;
  if (list === true ? run !== undefined || version !== undefined : run === undefined) {
    throw new WeaverError('bad_input', 'Name one recorded run, or list them.', {
      hint: 'toolweaver replay --list, then toolweaver replay RUN',
    });
  }
  if (whole === true && !isTerminal()) {
    throw new WeaverError('needs_person', 'Recorded texts are shown whole only to a person at a terminal.', {
      hint: 'Run it at a terminal, or without --whole.',
    });
  }
  return withApp(cli, (app) => (run === undefined ? listAll(cli, app) : replayOne(cli, app, run)));
}

async function listAll(cli: Cli, { database }: App): Promise<number> {
  const recordings = (await listRecordings(database.read, localTenant, { limit: listed }, Date.now())).map((one) => ({
    run_id: one.run,
    call_id: one.callId,
    tool: one.tool,
    version: one.version,
    ended: one.code,
    bytes: one.bytes,
    principal: one.principal,
    at: new Date(one.at).toISOString(),
    expires_at: new Date(one.expiresAt).toISOString(),
  }));
  const rows = recordings.map((one) => [
    one.run_id,
    `${one.tool} ${one.version}`,
    one.ended,
    String(one.bytes),
    one.principal,
    one.at,
    one.expires_at,
  ]);
  print(cli.asJson, { recordings }, () =>
    rows.length === 0
      ? 'Nothing is recorded. TOOLWEAVER_RECORD_RUNS=100 keeps the latest 100 runs of skills.'
      : columns([['RUN', 'WHAT', 'ENDED', 'BYTES', 'BY', 'AT', 'UNTIL'], ...rows]),
  );
  return 0;
}

async function replayOne(cli: Cli, { database, sandbox, config }: App, run: string): Promise<number> {
  const { version, whole } = cli.options as { version?: string; whole?: boolean };
  const ring = createKeyring(config);
  const opened = await openRecording(database, ring, localTenant, run, Date.now());
  const replayed = await replay({ database, sandbox }, opened, { version, signal: cli.signal });
  const isWhole = whole === true;
  const shown = await showReplay(replayed, await createRedact(database, ring, localTenant, { isWhole }));
  const { info } = opened;
  const about = { run_id: info.run, tool: info.tool, recorded: info.version, replayed: version ?? info.version };
  print(cli.asJson, { ...about, ...shown }, () =>
    [`${info.run}: ${info.tool} ${about.recorded}, replayed by ${about.replayed}`, replayText(shown, isWhole)].join(
      '\n',
    ),
  );
  return replayed.result === 'equal' ? 0 : 1;
}
