import type { Call } from '../catalog/call.ts';
import type { Catalog, ToolSource } from '../catalog/catalog.ts';
import { type FormatName, formatNames, formatTools, openApiDocument } from '../catalog/formats.ts';
import { mayUse, requireScope } from '../catalog/grants.ts';
import { backgroundAfterMs, maxKeyLength } from '../catalog/keep.ts';
import type { Tool } from '../catalog/tool.ts';
import type { Outcome, Principal } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import { readJson } from '../http/body.ts';
import type { Exchange, Route } from '../http/listener.ts';
import { sendJson } from '../http/problem.ts';
import { version } from '../package.ts';

export interface ApiParts {
  call: Call;
  catalog: Catalog;
  source: ToolSource;
  publicUrl: () => string;
}

const reading = ['GET', 'HEAD'];

/** The JSON API for programs whose LLM calls tools without MCP: `/v1/tools`, `/v1/runs`, `/v1/openapi.json`. */
export function apiRoutes(parts: ApiParts): Route[] {
  return [
    { path: '/v1/tools', methods: reading, handle: (exchange, principal) => listTools(parts, exchange, principal) },
    {
      path: '/v1/openapi.json',
      methods: reading,
      handle: (exchange, principal) => openApi(parts, exchange, principal),
    },
    { path: '/v1/tools/', methods: ['POST'], handle: (exchange, principal) => callTool(parts, exchange, principal) },
    {
      path: '/v1/runs/',
      methods: [...reading, 'DELETE'],
      handle: (exchange, principal) => useRun(parts, exchange, principal),
    },
  ];
}

async function toolsFor({ catalog, source }: ApiParts, principal: Principal): Promise<Tool[]> {
  requireScope(principal, 'read', 'The list of tools');
  await source.freshen(principal.tenant);
  return catalog.list(principal.tenant).filter((tool) => mayUse(principal, tool.name));
}

async function listTools(parts: ApiParts, { response, url }: Exchange, principal: Principal): Promise<void> {
  const format = url.searchParams.get('format') ?? 'mcp';
  if (!isFormat(format)) {
    throw new WeaverError('bad_input', `There is no format ${JSON.stringify(format.slice(0, 40))}.`, {
      hint: `Formats: ${formatNames.join(', ')}.`,
    });
  }
  sendJson(response, 200, { tools: formatTools(format, await toolsFor(parts, principal)) });
}

const isFormat = (format: string): format is FormatName => (formatNames as readonly string[]).includes(format);

async function openApi(parts: ApiParts, { response }: Exchange, principal: Principal): Promise<void> {
  sendJson(response, 200, openApiDocument(await toolsFor(parts, principal), { url: parts.publicUrl(), version }));
}

async function callTool(parts: ApiParts, exchange: Exchange, principal: Principal): Promise<void> {
  const { request, response, url, signal } = exchange;
  const body = await readJson(request);
  const key = idempotency(request.headers['idempotency-key']);
  const outcome = await parts.call({
    tool: lastSegment(url, '/v1/tools/'),
    // No body is an empty input; null is one that no tool takes.
    input: body === undefined ? {} : body,
    principal,
    via: 'web',
    // What has a key goes on without its client, which may come back and ask for the outcome by the same key.
    signal: key.idempotencyKey === undefined ? signal : new AbortController().signal,
    backgroundAfterMs: waitMs(request.headers.prefer) ?? backgroundAfterMs,
    ...key,
  });
  answer(exchange, outcome, () => sendJson(response, 200, outcome.status === 'done' ? (outcome.value ?? null) : null));
}

function answer({ response }: Exchange, outcome: Outcome, done: () => void): void {
  if (outcome.status === 'failed') throw outcome.error;
  if (outcome.status === 'done') return done();
  response.setHeader('location', `/v1/runs/${outcome.runId}`);
  const question = outcome.status === 'asks' ? { question: outcome.question } : {};
  sendJson(response, 202, { run_id: outcome.runId, status: outcome.status, ...question });
}

// Runs are read and cancelled by the built-in tools, so that the same rights hold here.
async function useRun(parts: ApiParts, exchange: Exchange, principal: Principal): Promise<void> {
  const { request, response, url, signal } = exchange;
  const run = { run_id: lastSegment(url, '/v1/runs/') };
  const [tool, input] =
    request.method === 'DELETE' ? ['cancel_run', run] : ['get_run', { ...run, ...partOf(url.searchParams) }];
  const outcome = await parts.call({ tool, input, principal, via: 'web', signal });
  answer(exchange, outcome, () => sendJson(response, 200, outcome.status === 'done' ? outcome.value : null));
}

/** Which part of a result is wanted; what is no number stays text, which get_run refuses with its reason. */
function partOf(query: URLSearchParams): Record<string, string | number> {
  const [path, offset, limit] = ['path', 'offset', 'limit'].map((name) => query.get(name));
  const count = (text: string) => (/^\d{1,15}$/.test(text) ? Number(text) : text);
  return {
    ...(path && { path }),
    ...(offset && { offset: count(offset) }),
    ...(limit && { limit: count(limit) }),
  };
}

function lastSegment({ pathname }: URL, before: string): string {
  const segment = pathname.slice(before.length);
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment; // A broken percent code: no tool has that name, which the road says.
  }
}

/** How long the client wants to wait (RFC 7240, section 4): `respond-async` not at all, `wait=N` so many seconds. */
function waitMs(prefer: string | string[] | undefined): number | undefined {
  const text = [prefer ?? ''].flat().join(',');
  const seconds = /\bwait=(\d{1,5})\b/i.exec(text)?.[1];
  if (seconds !== undefined) return Number(seconds) * 1_000;
  return /\brespond-async\b/i.test(text) ? 0 : undefined;
}

function idempotency(header: string | string[] | undefined): { idempotencyKey?: string } {
  if (header === undefined) return {};
  const key = String(header).trim();
  if (key !== '' && key.length <= maxKeyLength) return { idempotencyKey: key };
  throw new WeaverError('bad_input', `Idempotency-Key has 1 to ${maxKeyLength} characters.`, {
    hint: 'Use a random one for each new call, such as a UUID.',
  });
}
