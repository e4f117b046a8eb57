import type { Command } from 'commander';
import { localAgent } from '../access/principals.ts';
import type { App } from '../app.ts';
import { action, addCommand, askedToEnd, type Cli, withApp } from './command.ts';

const forcedExitMs = 900;

/** `toolweaver serve`: MCP on stdin and stdout, or over HTTP. */
export function addServe(program: Command, env: NodeJS.ProcessEnv): void {
  addCommand(
    program,
    'serve',
    'Serve MCP on stdin and stdout, as a host starts it, or over HTTP.',
    'toolweaver serve\ntoolweaver serve --http\ntoolweaver serve --http 127.0.0.1:8080',
  )
    .option('--http [address]', 'serve over HTTP instead: MCP at /mcp, JSON at /v1; default 127.0.0.1:7077')
    .hook('preAction', (serve) => {
      const { http } = serve.opts();
      if (typeof http === 'string') serve.setOptionValue('httpAddress', http);
    })
    .action(
      action(env, async (cli) => {
        await withApp(cli, async (app) => {
          app.worker.start();
          if (cli.options.http) return serveHttp(app, cli);
          await serveHost(app, cli);
          // The host is gone and expects its server to be, within a second: what does not end by itself is ended.
          setTimeout(() => process.exit(0), forcedExitMs).unref();
        });
        return 0;
      }),
    );
}

async function serveHost(app: App, { signal }: Cli): Promise<void> {
  const { serveStdio } = await import('../server/stdio.ts');
  await serveStdio(app, localAgent(), signal);
}

async function serveHttp(app: App, { signal, asJson }: Cli): Promise<void> {
  const { openHttpServer } = await import('./http-server.ts');
  const server = await openHttpServer(app);
  const { url, tokenFile } = server;
  const mcp = `${url}/mcp`;
  const stopped = signal.aborted ? undefined : askedToEnd();
  process.stdout.write(
    asJson
      ? `${JSON.stringify({ mcp, api: `${url}/v1`, token_file: tokenFile ?? null })}\n`
      : `MCP      ${mcp}\nJSON     ${url}/v1/openapi.json\n${tokenFile === undefined ? '' : `token    in ${tokenFile}\n`}`,
  );
  await stopped;
  await server.close();
}
