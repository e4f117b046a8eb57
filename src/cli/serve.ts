import type { Command } from 'commander';
import { localAgent } from '../access/principals.ts';
import { action, addCommand, withApp } from './command.ts';

const forcedExitMs = 900;

/** `toolweaver serve`: MCP on stdin and stdout. */
export function addServe(program: Command, env: NodeJS.ProcessEnv): void {
  addCommand(program, 'serve', 'Serve MCP on stdin and stdout, as a host starts it.', 'toolweaver serve').action(
    action(env, async (cli) => {
      const { serveStdio } = await import('../server/stdio.ts');
      await withApp(cli, async (app) => {
        await serveStdio(app, localAgent(), cli.signal);
        // The host is gone: whatever does not end by itself is ended.
        setTimeout(() => process.exit(0), forcedExitMs).unref();
      });
      return 0;
    }),
  );
}
