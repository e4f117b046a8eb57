import type { Command } from 'commander';
import type { Progress } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import { shortText } from '../text/clean.ts';
import { action, addCommand, cliRequest, withApp } from './command.ts';
import { print, waitsForApproval } from './output.ts';
import { readStdin } from './stdin.ts';

/** `toolweaver call`: one call of any tool. */
export function addCall(program: Command, env: NodeJS.ProcessEnv): void {
  addCommand(
    program,
    'call <name> [input]',
    'Call a tool. The input is JSON, or - to read it from stdin.',
    'toolweaver call csv_summary \'{"text":"a,b\\n1,2"}\'',
  ).action(
    action(env, (cli, name, given) =>
      withApp(cli, async ({ call }) => {
        const input = parseInput(given === '-' ? await readStdin() : (given ?? '{}'));
        const onTerminal = process.stderr.isTTY && !cli.asJson;
        const outcome = await call({
          ...cliRequest(cli, String(name), input),
          ...(onTerminal && {
            progress: (progress) => void process.stderr.write(`\r${progressText(progress)}\u001b[K`),
          }),
        });
        if (onTerminal) process.stderr.write('\r\u001b[K');
        if (outcome.status === 'failed') throw outcome.error;
        const value = outcome.status === 'done' ? outcome.value : outcome;
        print(cli.asJson, value, () => (typeof value === 'string' ? value : JSON.stringify(value, null, 2)));
        return outcome.status === 'asks' ? waitsForApproval : 0;
      }),
    ),
  );
}

// The message is the skill's: it may hold escape sequences.
function progressText({ done, total, message }: Progress): string {
  return `${done}${Number.isFinite(total) ? `/${total}` : ''} ${shortText(message ?? '')}`;
}

function parseInput(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new WeaverError('bad_input', `The input is not JSON: ${(cause as Error).message}`, {
      hint: 'Quote it for the shell: toolweaver call NAME \'{"key":"value"}\'',
      cause,
    });
  }
}
