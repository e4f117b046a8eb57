import type { Command } from 'commander';
import { localTenant, roles } from '../access/principals.ts';
import { createToken, listTokens, revokeToken, type TokenInfo } from '../access/tokens.ts';
import type { App } from '../app.ts';
import type { PrincipalKind } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import { action, addCommand, type Cli, cliPrincipal, withApp } from './command.ts';
import { durationMs } from './duration.ts';
import { columns, isTerminal, print } from './output.ts';

const kinds: readonly string[] = ['agent', 'person', 'service'] satisfies PrincipalKind[];

/** `toolweaver token`: who may call over HTTP. */
export function addToken(program: Command, env: NodeJS.ProcessEnv): void {
  const token = program.command('token').description('Make, list and revoke tokens for HTTP.');
  addCommand(
    token,
    'create <name>',
    'Make a token and print it, this once.',
    'toolweaver token create ci --role caller --expires 90d\ntoolweaver token create ada --kind person --role reviewer',
  )
    .option('--kind <kind>', `who holds it: ${kinds.join(', ')}`, 'agent')
    .option('--role <role...>', `what it may do: ${Object.keys(roles).join(', ')}`, ['caller'])
    .option('--tools <name...>', 'only these tools, as names with *, such as csv_*')
    .option('--expires <time>', 'its life, such as 12h or 90d; without end where absent')
    .action(action(env, (cli, name) => withApp(cli, (app) => create(cli, app, String(name)))));
  addCommand(token, 'list', 'List tokens; the tokens themselves are kept nowhere.', 'toolweaver token list').action(
    action(env, (cli) => withApp(cli, (app) => list(cli, app))),
  );
  addCommand(token, 'revoke <id>', 'Make a token worthless at once.', 'toolweaver token revoke 3f2a9c0d1e4b').action(
    action(env, (cli, id) => withApp(cli, (app) => revoke(cli, app, String(id)))),
  );
}

async function create(cli: Cli, { database }: App, name: string): Promise<number> {
  const { kind, role, tools, expires } = cli.options as {
    kind: string;
    role: string[];
    tools?: string[];
    expires?: string;
  };
  if (!kinds.includes(kind))
    throw new WeaverError('bad_input', `There is no kind ${JSON.stringify(kind)}.`, {
      hint: `Kinds: ${kinds.join(', ')}.`,
    });
  if (kind === 'person' && !isTerminal()) {
    throw new WeaverError('needs_person', "A person's token is made at a terminal.", {
      hint: 'It may approve what agents write, so no script or agent may make one. Open a terminal and run the command there.',
    });
  }
  const now = Date.now();
  const expiresAt = expires === undefined ? undefined : now + durationMs(expires);
  const request = { name, kind: kind as PrincipalKind, roles: role, tools, expiresAt };
  const { token, info } = await createToken(database, cliPrincipal(), request, now);
  print(
    cli.asJson,
    { token, ...info },
    () => `${token}\n\n${describe(info)}\nIt is shown only now. Send it as: authorization: Bearer TOKEN`,
  );
  return 0;
}

async function list(cli: Cli, { database }: App): Promise<number> {
  const tokens = await listTokens(database, localTenant);
  const rows = tokens.map((one) => [
    one.id,
    one.principal,
    one.roles.join(','),
    one.tools?.join(' ') ?? 'all',
    stateOf(one),
  ]);
  print(cli.asJson, { tokens }, () => columns([['ID', 'PRINCIPAL', 'ROLES', 'TOOLS', 'STATE'], ...rows]));
  return 0;
}

async function revoke(cli: Cli, { database }: App, id: string): Promise<number> {
  const info = await revokeToken(database, localTenant, id, Date.now());
  print(cli.asJson, info, `Revoked: ${describe(info)}`);
  return 0;
}

const describe = (info: TokenInfo): string =>
  `${info.id} of ${info.principal}, ${info.roles.join(', ')}, ${stateOf(info)}`;

function stateOf({ expiresAt, revokedAt }: TokenInfo): string {
  if (revokedAt !== undefined) return 'revoked';
  if (expiresAt === undefined) return 'without end';
  return `${expiresAt <= Date.now() ? 'expired' : 'until'} ${new Date(expiresAt).toISOString()}`;
}
