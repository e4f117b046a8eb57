import { type Command, Option } from 'commander';
import { localPerson } from '../access/principals.ts';
import type { App } from '../app.ts';
import { type LoadedConfig, loadConfig, metaOf, type SettingName, settingNames } from '../config.ts';
import { type CallRequest, type Principal, withoutApproval } from '../contracts.ts';
import { createLog } from '../log.ts';
import { isTerminal, printError } from './output.ts';

const stopMs = 2_000;
const stopped = 1;

/** What every command is given. */
export interface Cli {
  env: NodeJS.ProcessEnv;
  asJson: boolean;
  /** The command's own options. */
  options: Record<string, unknown>;
  loaded: LoadedConfig;
  /** Fires at Ctrl-C and SIGTERM. */
  signal: AbortSignal;
}

/** Adds a command with `--json` and an example in its help. */
export function addCommand(parent: Command, nameAndArguments: string, description: string, example: string): Command {
  return parent
    .command(nameAndArguments)
    .description(description)
    .option('--json', 'print JSON for programs')
    .addHelpText('after', `\nExample:\n  ${example.replaceAll('\n', '\n  ')}`);
}

/** Makes a command's action: settings are read, errors printed in one form, and the exit code set. */
export function action(env: NodeJS.ProcessEnv, run: (cli: Cli, ...args: string[]) => Promise<number | undefined>) {
  return async (...given: unknown[]): Promise<void> => {
    const command = given.at(-1) as Command;
    const options = command.optsWithGlobals();
    const asJson = options.json === true;
    try {
      const loaded = loadConfig(env, settingFlags(options));
      const args = given.slice(0, -2) as string[];
      process.exitCode = (await run({ env, asJson, options, loaded, signal: stopSignal() }, ...args)) ?? 0;
    } catch (error) {
      process.exitCode = printError(error, asJson);
    }
  };
}

/** Adds a flag for every setting that is no secret; only the help of the whole program shows them. */
export function addSettingFlags(
  command: Command,
  describe: (name: SettingName) => string,
  flag: (name: SettingName) => string,
): void {
  for (const name of settingNames) {
    const option = new Option(`--${flag(name)} <value>`, describe(name)).hideHelp(command.parent !== null);
    if (!metaOf(name).isSecret) command.addOption(option);
  }
}

function settingFlags(options: Record<string, unknown>): Partial<Record<SettingName, unknown>> {
  return Object.fromEntries(settingNames.filter((name) => name in options).map((name) => [name, options[name]]));
}

/** Opens a ToolWeaver for one command and closes it after. */
export async function withApp<T>(cli: Cli, work: (app: App) => Promise<T>): Promise<T> {
  const { openApp } = await import('../app.ts');
  const app = await openApp(cli.loaded.config, createLog(cli.loaded.config.logLevel));
  try {
    return await work(app);
  } finally {
    await app.close();
  }
}

/** The person at the command line; without a terminal there may be no person, so nothing is approved. */
export function cliPrincipal(): Principal {
  const person = localPerson();
  return isTerminal() ? person : withoutApproval(person);
}

/** A call from the command line. */
export const cliRequest = (cli: Cli, tool: string, input: unknown): CallRequest => ({
  tool,
  input,
  principal: cliPrincipal(),
  via: 'cli',
  signal: cli.signal,
});

/**
 * Resolves at Ctrl-C or SIGTERM; a second one ends the process at once. In place of what other commands do at them, which
 * ends the process after a moment: here calls under way may end first.
 */
export function askedToEnd(): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      listenInstead(() => process.exit(1));
      resolve();
    };
    listenInstead(end);
  });
}

function listenInstead(listener: () => void): void {
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    const others = process.listeners(name);
    // First: a signal that comes while nobody listens is lost, or ends the process.
    process.once(name, listener);
    for (const other of others) process.off(name, other);
  }
}

function stopSignal(): AbortSignal {
  const controller = new AbortController();
  const stop = () => {
    controller.abort();
    // For what does not listen, such as reading from a terminal.
    setTimeout(() => process.exit(stopped), stopMs).unref();
  };
  process.once('SIGINT', stop).once('SIGTERM', stop);
  return controller.signal;
}
