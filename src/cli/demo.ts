import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Client } from '@modelcontextprotocol/client';
import type { Command } from 'commander';
import { metaOf, settingNames } from '../config.ts';
import { WeaverError } from '../errors.ts';
import { loadOptional } from '../optional.ts';
import { distFile, packageRoot } from '../package.ts';
import { action, addCommand } from './command.ts';
import { readDraft } from './draft-file.ts';
import { paint, print } from './output.ts';

const run = promisify(execFile);
const tool = distFile('cli/main.js');

interface Step {
  title: string;
  said: string[];
}

/** `toolweaver demo`: an agent saves code and calls it a moment later, on a real server in a temporary home. */
export function addDemo(program: Command, env: NodeJS.ProcessEnv): void {
  addCommand(
    program,
    'demo',
    'See an agent save code and call it a moment later: a real server in a temporary home.',
    'toolweaver demo',
  ).action(
    action(env, async ({ asJson, signal }) => {
      const home = await mkdtemp(join(tmpdir(), 'toolweaver-demo-'));
      const demoEnv = environmentOf(env, home);
      const steps: Step[] = [];
      const color = paint(env);
      const tell = (title: string, ...said: string[]): void => {
        steps.push({ title, said });
        if (asJson) return;
        process.stdout.write(
          `\n${color.bold(`${steps.length}. ${title}`)}\n${said.map((line) => `   ${line}\n`).join('')}`,
        );
      };
      const started = performance.now();
      try {
        await withServer(demoEnv, signal, (client) => tellStory({ client, tell, env: demoEnv }));
      } finally {
        await rm(home, { recursive: true, force: true, maxRetries: 3 });
      }
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      if (asJson) print(true, { steps, seconds: Number(seconds) }, '');
      else
        process.stdout.write(
          `\n${color.green('Done')} in ${seconds} s. Now with your own host: toolweaver install claude-code --print\n`,
        );
      return 0;
    }),
  );
}

interface Story {
  client: Client;
  tell(title: string, ...said: string[]): void;
  env: Record<string, string>;
}

/** The environment without any setting of the person's own: the demo touches no library but its own. */
function environmentOf(env: NodeJS.ProcessEnv, home: string): Record<string, string> {
  const own = new Set(settingNames.map((name) => metaOf(name).env));
  const kept = Object.entries(env).filter(
    (pair): pair is [string, string] => pair[1] !== undefined && !own.has(pair[0]),
  );
  return { ...Object.fromEntries(kept), TOOLWEAVER_HOME: home };
}

async function tellStory({ client, tell, env }: Story): Promise<void> {
  const text = await weatherCsv();
  const { tools } = await client.listTools();
  tell('A host connects over stdio', `${tools.length} tools are listed: ${tools.map((one) => one.name).join(', ')}`);

  const saved = await callTool(client, 'save_skill', await example('csv_summary'));
  tell(
    'The agent saves code that worked',
    `csv_summary ${saved.version} is ${saved.state}: ${saved.examples}, risk ${saved.risk}`,
  );

  const [summary, ms] = await timed(() => callTool(client, 'csv_summary', { text }));
  const columns = summary.columns as { name: string; type: string; min?: number; max?: number; most_common?: string }[];
  tell(
    `A moment later it is a tool: csv_summary on ${text.length.toLocaleString('en')} characters of Seattle weather (${ms} ms, sandboxed)`,
    `${summary.rows} rows`,
    ...columns.map(
      (one) =>
        `${one.name.padEnd(14)} ${one.type === 'number' ? `${one.min} … ${one.max}` : `mostly ${one.most_common}`}`,
    ),
  );

  const query = 'statistics for the columns of a table';
  const found = await callTool(client, 'search_tools', { queries: [query], limit: 3 });
  const [{ hits }] = found.results as [{ hits: { name: string; signature: string }[] }];
  tell(`Another day it searches first: "${query}"`, ...hits.map((hit) => hit.signature));

  await callTool(client, 'save_skill', await example('csv_headline'));
  const headline = await callTool(client, 'call_tool', { name: 'csv_headline', input: { text, column: 'temp_max' } });
  tell('A second skill uses the first, locked to its version', String(headline.headline));

  const waiting = await callTool(client, 'save_skill', await example('top_rows'));
  const review = waiting.review as { id: string; why: string };
  const refused = await client.callTool({
    name: 'call_tool',
    arguments: { name: 'top_rows', input: { text, column: 'wind' } },
  });
  tell(
    'A third shows no example, so it waits for a person',
    `review ${review.id}: ${review.why}`,
    `calling it now answers: ${textOf(refused).split('\n')[0]}`,
  );

  await approve(review.id, env);
  const top = await callTool(client, 'call_tool', { name: 'top_rows', input: { text, column: 'wind', top: 2 } });
  const rows = top.rows as { date: string; wind: string }[];
  tell(
    'The person reads it and approves it in a terminal',
    `$ toolweaver review approve ${review.id}`,
    `the windiest days: ${rows.map((row) => `${row.date} (${row.wind} m/s)`).join(', ')}`,
  );
}

async function withServer(
  env: Record<string, string>,
  signal: AbortSignal,
  work: (client: Client) => Promise<void>,
): Promise<void> {
  const { Client } = await loadOptional(
    '@modelcontextprotocol/client',
    'The demo',
    () => import('@modelcontextprotocol/client'),
  );
  const { StdioClientTransport } = await import('@modelcontextprotocol/client/stdio');
  const client = new Client({ name: 'toolweaver-demo', version: '1.0.0' }, {});
  const close = () => client.close();
  signal.addEventListener('abort', close, { once: true });
  try {
    signal.throwIfAborted();
    await client.connect(new StdioClientTransport({ command: process.execPath, args: [tool, 'serve'], env }));
    await work(client);
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new WeaverError('cancelled', 'The demo was stopped.', { cause: error });
  } finally {
    await close();
  }
}

const example = (name: string): Promise<Record<string, unknown>> => readDraft(join(packageRoot, 'examples', name));

/** Daily weather of Seattle, 2012 to 2015, as the npm package vega-datasets ships it. */
async function weatherCsv(): Promise<string> {
  const build = await loadOptional('vega-datasets', "The demo's data", async () =>
    import.meta.resolve('vega-datasets'),
  );
  return readFile(new URL('../data/seattle-weather.csv', build), 'utf8');
}

async function callTool(
  client: Client,
  name: string,
  input: Record<string, unknown>,
): Promise<Record<string, unknown>> {
  const result = await client.callTool({ name, arguments: input });
  if (!result.isError) return (result.structuredContent ?? {}) as Record<string, unknown>;
  throw new WeaverError('unavailable', `${name} failed in the demo: ${textOf(result)}`, {
    hint: 'Run toolweaver doctor.',
  });
}

function textOf(result: unknown): string {
  const { content } = result as { content?: { type: string; text?: string }[] };
  return (content ?? []).map((part) => part.text ?? '').join('\n');
}

async function timed<T>(work: () => Promise<T>): Promise<[T, string]> {
  const started = performance.now();
  const value = await work();
  return [value, (performance.now() - started).toFixed(1)];
}

/** Runs the real command at a terminal of its own, which the program `script` makes. */
async function approve(id: string, env: Record<string, string>): Promise<void> {
  const command = [process.execPath, tool, 'review', 'approve', id, '--yes'];
  const inTerminal =
    process.platform === 'darwin'
      ? ['-q', '/dev/null', ...command]
      : ['-qec', command.map(quote).join(' '), '/dev/null'];
  try {
    await run('script', inTerminal, { env });
  } catch (cause) {
    throw new WeaverError('not_supported', 'The demo could not open a terminal to approve in.', {
      hint: 'It needs the program script (Debian: bsdutils).',
      cause,
    });
  }
}

const quote = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;
