import { randomInt } from 'node:crypto';
import * as z from 'zod';
import { splitName } from '../catalog/catalog.ts';
import type { Tool, ToolContext } from '../catalog/tool.ts';
import { WeaverError } from '../errors.ts';
import { keepResult } from '../runs/read.ts';
import { defaultLimits, type Engine, type JobResult, type Sandbox } from '../sandbox/sandbox.ts';
import { languages } from '../skills/draft.ts';
import type { EngineProblem } from '../skills/engine.ts';
import { answerOf, ownerOf } from '../skills/host.ts';
import { compileScript } from '../skills/script.ts';
import type { Database } from '../store/database.ts';
import { defineBuiltin } from './builtin.ts';

const maxTimeoutMs = 300_000;
const shownLogCharacters = 1_000;

const input = z.strictObject({
  code: z
    .string()
    .min(1)
    .max(200_000)
    .describe(
      'The body of an async function (input, ctx), or a module with export default: return what you need. Call tools by await ctx.tools.<name>(input); Promise.all runs them at once. In Python a module with def run(input, ctx), or async def.',
    ),
  language: z.enum(languages).default('javascript').describe('Language of the code.'),
  input: z.record(z.string(), z.unknown()).default({}).describe('What the code finds as input.'),
  tools: z
    .array(z.string().min(1).max(200))
    .max(50)
    .default([])
    .describe('Names of the tools that the code may call beside read-only ones.'),
  timeout_ms: z
    .int()
    .min(100)
    .max(maxTimeoutMs)
    .default(defaultLimits.wallMs)
    .describe('The longest that it may take.'),
});

interface RunCodeParts {
  database: Database;
  sandbox: (engine: Engine) => Sandbox;
  engineProblem: EngineProblem;
}

/** `run_code`: one script over the whole catalog, in place of many calls whose results a model would have to read. */
export function runCode({ database, sandbox, engineProblem }: RunCodeParts): Tool {
  return defineBuiltin({
    name: 'run_code',
    title: 'Run code',
    description:
      'Run code once in a sandbox, with every tool that you may use as ctx.tools.<name>(input). One call replaces many, and what they answer stays out of your context: filter, join and count in code, return only what you need. Read-only tools are free; name any other in tools. Code that worked becomes a skill by save_skill { from_run }.',
    input,
    needs: 'call',
    risk: 'writes',
    named: ({ tools }) => tools,
    async run({ code, language, input: given, timeout_ms: wallMs }, ctx) {
      if (ctx.request.caller) throw nested();
      const { program, source, engine } = await compileScript(code, language, { engineProblem, sandbox });
      const calls: Record<string, number> = {};
      const result = await sandbox(engine).run({
        id: ctx.callId,
        owner: ownerOf(ctx.request.principal),
        program,
        input: given,
        limits: { ...defaultLimits, wallMs },
        now: Date.now(),
        seed: randomInt(2 ** 32),
        async callTool(name, argument) {
          const tool = calledBy(name, argument);
          calls[tool] = (calls[tool] ?? 0) + 1;
          return answerOf(name, await ctx.call(name, argument));
        },
        progress: ctx.progress,
        signal: ctx.signal,
      });
      if (!result.ok) throw withTrace(result, calls);
      const value = { result: result.value, logs: result.logs, calls };
      return { ...value, run_id: await keep(database, ctx, { code: source, language, input: given }, value) };
    },
  });
}

const nested = (): WeaverError =>
  new WeaverError('not_allowed', 'Code cannot run code.', { hint: 'Call a saved skill in place of run_code.' });

// What is counted is the tool that does it.
function calledBy(name: string, argument: unknown): string {
  const tool = splitName(name).name.slice(0, 100);
  const target = (argument as { name?: unknown } | null)?.name;
  const isForwarder = tool === 'call_tool' || tool === 'call_read_tool';
  return isForwarder && typeof target === 'string' ? splitName(target).name.slice(0, 100) : tool;
}

const keep = (
  database: Database,
  { request: { principal } }: ToolContext,
  request: { code: string; language: string; input: unknown },
  value: unknown,
): Promise<string> => keepResult(database, { principal, tool: 'run_code', input: request, value }, Date.now());

// What was called has been done, and what was logged tells where it went wrong.
function withTrace({ error, logs }: JobResult & { ok: false }, calls: Record<string, number>): WeaverError {
  const called = Object.entries(calls).map(([tool, times]) => `${tool} ×${times}`);
  const hint = called.length > 0 ? `It had called: ${called.join(', ')}. ${error.hint ?? ''}`.trim() : error.hint;
  const preview = logs.join('\n').slice(-shownLogCharacters);
  return new WeaverError(error.code, error.message, {
    ...(hint !== undefined && { hint }),
    details: { ...error.details, calls, ...(preview !== '' && { preview }) },
    cause: error.cause,
  });
}
