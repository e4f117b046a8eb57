import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { atEnd, command } from '../helpers/process.ts';

export interface HttpProcess {
  /** `http://127.0.0.1:PORT` */
  url: string;
  /** The token of the first start; empty where none is wanted. */
  token: string;
  /** All of stderr so far. */
  log(): string;
}

interface ServeOptions {
  home: string;
  env?: Record<string, string>;
  /** Another program that prints the same first line. */
  script?: string;
}

/** What a server process is started with: nothing of the environment of the tests but how to find programs. */
export const serverEnv = ({ home, env }: ServeOptions): Record<string, string> => ({
  PATH: process.env.PATH ?? '',
  HOME: home,
  TOOLWEAVER_HOME: home,
  ...env,
});

/** Starts a real server on a free port; it ends with the test file. */
export async function serveHttp(options: ServeOptions): Promise<HttpProcess> {
  const args = [options.script ?? command, 'serve', '--http', '127.0.0.1:0', '--json'];
  const child = spawn(process.execPath, args, { env: serverEnv(options), stdio: ['ignore', 'pipe', 'pipe'] });
  const closed = once(child, 'close');
  atEnd(async () => {
    child.kill('SIGKILL');
    await closed;
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const line = await Promise.race([once(createInterface(child.stdout), 'line'), closed.then(() => undefined)]);
  if (!line) throw new Error(`The server did not start: ${stderr}`);
  const { mcp, token_file } = JSON.parse(String(line[0]));
  return {
    url: new URL(mcp).origin,
    token: token_file ? readFileSync(token_file, 'utf8').trim() : '',
    log: () => stderr,
  };
}
