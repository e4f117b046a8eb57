// A whole ToolWeaver, with one more tool that asks: on stdin and stdout, or over HTTP where `--http` is among the words.
import { localAgent } from '../../src/access/principals.ts';
import { openApp } from '../../src/app.ts';
import { done } from '../../src/catalog/tool.ts';
import { openHttpServer } from '../../src/cli/http-server.ts';
import { loadConfig } from '../../src/config.ts';
import { createLog } from '../../src/log.ts';
import { serveStdio } from '../../src/server/stdio.ts';
import { answerTo, asks, form, toolFor } from './tools.ts';

const isHttp = process.argv.includes('--http');
const { config } = loadConfig(process.env, { httpAddress: '127.0.0.1:0' });
const askName = toolFor('ask_name', (_input, ctx) => {
  const answer = answerTo(ctx);
  if (answer) return done({ greeting: `Hello, ${answer.value.name}!` });
  return asks('What is your name?', form({ name: { type: 'string' } }), ctx);
});
const app = await openApp(config, createLog('warn'), { moreTools: [askName] });

if (isHttp) {
  const { url, tokenFile } = await openHttpServer(app);
  process.stdout.write(`${JSON.stringify({ mcp: `${url}/mcp`, token_file: tokenFile ?? null })}\n`);
} else {
  await serveStdio(app, localAgent(), new AbortController().signal);
  await app.close();
}
