import { mkdir, readFile, realpath, rename, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname } from 'node:path';
import { Argument, type Command } from 'commander';
import { WeaverError } from '../errors.ts';
import { isRecord } from '../json.ts';
import { distFile } from '../package.ts';
import { action, addCommand, type Cli } from './command.ts';
import { type Host, type HostName, hosts } from './hosts.ts';
import { print } from './output.ts';

/** `toolweaver install`: puts this ToolWeaver into a host's list of MCP servers. */
export function addInstall(program: Command, env: NodeJS.ProcessEnv): void {
  const install = addCommand(
    program,
    'install',
    "Add this ToolWeaver to a host's MCP servers. Keeps what is there and makes a backup.",
    'toolweaver install claude --print\ntoolweaver install claude-code',
  );
  install
    .addArgument(new Argument('<host>', 'which host').choices(Object.keys(hosts)))
    .option('--print', 'print the configuration, write nothing')
    .action(action(env, async (cli, host) => installInto(cli, hosts[host as HostName], cli.options.print === true)));
}

async function installInto(cli: Cli, host: Host, onlyPrint: boolean): Promise<number> {
  const file = host.file({ platform: process.platform, home: homedir(), cwd: process.cwd(), env: cli.env });
  const server = serverEntry(cli, host);
  if (onlyPrint) {
    const block = { [host.key]: { toolweaver: server } };
    print(true, block, '');
    process.stderr.write(`This belongs into ${file}\n`);
    return 0;
  }
  const before = await readText(file);
  const document = before === undefined ? {} : parseDocument(file, before);
  const servers = document[host.key] ?? {};
  if (!isRecord(servers)) throw unusable(file, `its "${host.key}" is no object`);
  const toolweaver = mergeEntry(servers.toolweaver, server);
  const after = { ...document, [host.key]: { ...servers, toolweaver } };
  const backup = before === undefined ? undefined : await keepBackup(file, before);
  await writeWhole(file, `${JSON.stringify(after, null, 2)}\n`);
  const done = `ToolWeaver is in ${file} (${host.title}).${backup ? `\nWhat was there: ${backup}` : ''}\n${host.after}`;
  print(cli.asJson, { host: host.title, file, backup: backup ?? null, server: toolweaver }, done);
  return 0;
}

// Absolute paths: hosts start servers with another PATH and another working directory.
function serverEntry({ loaded: { config, sources } }: Cli, host: Host) {
  return {
    type: 'stdio',
    command: process.execPath,
    args: [distFile('cli/main.js'), 'serve'],
    env: {
      TOOLWEAVER_HOME: config.home,
      TOOLWEAVER_EXPOSE: sources.expose === 'default' ? host.expose : config.expose,
    },
  };
}

// What a person added to an older entry of ours stays: other environment variables, a host's own switches.
function mergeEntry(before: unknown, server: ReturnType<typeof serverEntry>): Record<string, unknown> {
  if (!isRecord(before)) return server;
  return { ...before, ...server, env: { ...(isRecord(before.env) && before.env), ...server.env } };
}

async function readText(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw unusable(file, (error as Error).message);
  }
}

function parseDocument(file: string, text: string): Record<string, unknown> {
  try {
    const value: unknown = text.trim() === '' ? {} : JSON.parse(text);
    if (isRecord(value)) return value;
  } catch {
    // Told below: a file with comments, say, is the person's to edit.
  }
  throw unusable(file, 'it is no JSON object (comments and trailing commas are not read)');
}

async function keepBackup(file: string, text: string): Promise<string> {
  const backup = `${file}.${new Date().toISOString().replaceAll(/[:.]/g, '-')}.bak`;
  try {
    await writeFile(backup, text, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    throw unusable(file, `the backup ${backup} could not be written: ${(error as Error).message}`);
  }
  return backup;
}

// At once, so that a host never reads half a file; through a link, and with the permissions that it had.
async function writeWhole(file: string, text: string): Promise<void> {
  try {
    await mkdir(dirname(file), { recursive: true });
    const place = await realpath(file).catch(() => file);
    const mode = await stat(place).then(
      (found) => found.mode & 0o777,
      () => 0o600,
    );
    await writeFile(`${place}.new`, text, { mode });
    await rename(`${place}.new`, place);
  } catch (error) {
    throw unusable(file, (error as Error).message);
  }
}

const unusable = (file: string, why: string): WeaverError =>
  new WeaverError('bad_input', `${file} was left as it is: ${why}.`, {
    hint: 'Add the block that `toolweaver install <host> --print` prints by hand.',
  });
