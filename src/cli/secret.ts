import type { Command } from 'commander';
import { localTenant } from '../access/principals.ts';
import type { App } from '../app.ts';
import { WeaverError } from '../errors.ts';
import { sealedRecordings } from '../recordings/table.ts';
import { checkName } from '../secrets/binding.ts';
import { createKeyring } from '../secrets/keyring.ts';
import { rotateSecrets } from '../secrets/rotate.ts';
import { listSecrets, removeSecret, type SecretInfo, setSecret } from '../secrets/table.ts';
import { action, addCommand, type Cli, cliPrincipal, withApp } from './command.ts';
import { columns, print } from './output.ts';
import { readStdin } from './stdin.ts';

/** `toolweaver secret`: what the host process may send for code that never sees it. */
export function addSecret(program: Command, env: NodeJS.ProcessEnv): void {
  const secret = program.command('secret').description('Keep secrets that skills may send without seeing them.');
  addCommand(
    secret,
    'set <name>',
    'Keep a secret, or give it another value. It is read from a prompt or from stdin.',
    'toolweaver secret set GITHUB_TOKEN --host api.github.com\ntoolweaver secret set SHOP_KEY --host shop.example.com --header x-api-key < key.txt',
  )
    .option('--host <host...>', 'the hosts that may get it, as api.example.com or api.example.com:8443')
    .option('--header <name>', 'the header that carries it; authorization unless it had another')
    .action(action(env, (cli, name) => set(cli, String(name))));
  addCommand(secret, 'list', 'List secrets and where each may go, without values.', 'toolweaver secret list').action(
    action(env, (cli) => withApp(cli, (app) => list(cli, app))),
  );
  addCommand(secret, 'remove <name>', 'Forget a secret.', 'toolweaver secret remove GITHUB_TOKEN').action(
    action(env, (cli, name) => withApp(cli, (app) => remove(cli, app, String(name)))),
  );
  addCommand(secret, 'rotate', 'Encrypt all secrets under a new key.', 'toolweaver secret rotate').action(
    action(env, (cli) => withApp(cli, (app) => rotate(cli, app))),
  );
}

async function set(cli: Cli, name: string): Promise<number> {
  const { host: hosts, header } = cli.options as { host?: string[]; header?: string };
  checkName(name);
  const value = await readValue(name);
  return withApp(cli, async ({ database, config }) => {
    const info = await setSecret(
      database,
      createKeyring(config),
      cliPrincipal(),
      { name, value, hosts, header },
      Date.now(),
    );
    print(cli.asJson, info, `Kept: ${describe(info)}`);
    return 0;
  });
}

async function readValue(name: string): Promise<string> {
  if (!process.stdin.isTTY) return (await readStdin()).replace(/\r?\n$/, '');
  const prompts = await import('@clack/prompts');
  const value = await prompts.password({ message: `Value of ${name}`, output: process.stderr });
  if (!prompts.isCancel(value)) return value ?? '';
  throw new WeaverError('cancelled', 'Nothing was kept.', { hint: 'Run the command again to keep it.' });
}

async function list(cli: Cli, { database }: App): Promise<number> {
  const secrets = await listSecrets(database, localTenant);
  const rows = secrets.map((one) => [
    one.name,
    one.hosts.join(' '),
    one.header,
    new Date(one.setAt).toISOString(),
    one.setBy,
  ]);
  print(cli.asJson, { secrets }, () =>
    rows.length === 0 ? 'No secrets are kept.' : columns([['NAME', 'HOSTS', 'HEADER', 'SET', 'BY'], ...rows]),
  );
  return 0;
}

async function remove(cli: Cli, { database }: App, name: string): Promise<number> {
  const info = await removeSecret(database, localTenant, name);
  print(cli.asJson, info, `Forgotten: ${describe(info)}`);
  return 0;
}

async function rotate(cli: Cli, { database, config }: App): Promise<number> {
  const { count, key } = await rotateSecrets(database, createKeyring(config), [sealedRecordings]);
  print(
    cli.asJson,
    { count, key },
    `${count} secrets are now under the key ${key}. Back-ups of before need the old one.`,
  );
  return 0;
}

const describe = ({ name, hosts, header }: SecretInfo): string => `${name}, for ${hosts.join(', ')} in ${header}`;
