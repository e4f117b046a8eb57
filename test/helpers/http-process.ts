import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { atEnd, command, type Ended, until } from './process.ts';

/** `toolweaver serve --http` in a process of its own. */
export interface HttpProcess {
  child: ChildProcessWithoutNullStreams;
  pid: number;
  url: string;
  token: string;
  /** All of stdout so far. */
  stdout(): string;
  /** All of stderr so far. */
  stderr(): string;
  ended: Promise<Ended>;
}

/** Starts a server on a free port, with the token of its first start. */
export async function startHttp(home: string, more: Record<string, string> = {}): Promise<HttpProcess> {
  const env = { PATH: process.env.PATH ?? '', HOME: home, TOOLWEAVER_HOME: home, ...more };
  const child = spawn(process.execPath, [command, 'serve', '--http', '127.0.0.1:0', '--json'], { env });
  atEnd(() => child.kill('SIGKILL'));
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const ended = new Promise<Ended>((resolve) => child.once('close', (code, signal) => resolve({ code, signal })));
  if (!(await until(() => stdout.includes('\n')))) throw new Error(`The server did not start: ${stderr}`);
  const { mcp, token_file } = JSON.parse(stdout);
  return {
    child,
    pid: child.pid ?? 0,
    url: new URL(mcp).origin,
    token: readFileSync(token_file, 'utf8').trim(),
    stdout: () => stdout,
    stderr: () => stderr,
    ended,
  };
}
