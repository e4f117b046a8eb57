// The baseline: the SDK's own server with one tool that answers its input, over stdio, or over HTTP with --http.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { NodeStreamableHTTPServerTransport, toNodeHandler, toWebRequest } from '@modelcontextprotocol/node';
import { createMcpHandler, isInitializeRequest, isLegacyRequest, McpServer } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';

const inputSchema = { type: 'object' };

function build() {
  const mcp = new McpServer({ name: 'echo', version: '1.0.0' }, { capabilities: { tools: {} } });
  mcp.server.setRequestHandler('tools/list', async () => ({ tools: [{ name: 'echo', inputSchema }] }));
  mcp.server.setRequestHandler('tools/call', async ({ params }) => ({
    content: [{ type: 'text', text: JSON.stringify(params.arguments) }],
    structuredContent: params.arguments,
  }));
  return mcp;
}

if (process.argv.includes('--http')) serveHttp();
else serveStdio(build);

function serveHttp() {
  const modern = toNodeHandler(createMcpHandler(build, { legacy: 'reject' }));
  const sessions = new Map();
  const server = createServer(async (request, response) => {
    const body = request.method === 'POST' ? await readJson(request) : undefined;
    if (!(await isLegacyRequest(await toWebRequest(request, body), body))) return modern(request, response, body);
    const known = sessions.get(request.headers['mcp-session-id']);
    if (known) return known.handleRequest(request, response, body);
    if (!isInitializeRequest(body)) return response.writeHead(404).end();
    const transport = new NodeStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => sessions.set(id, transport),
    });
    await build().connect(transport);
    await transport.handleRequest(request, response, body);
  });
  server.listen(0, '127.0.0.1', () => {
    process.stdout.write(`${JSON.stringify({ mcp: `http://127.0.0.1:${server.address().port}/mcp` })}\n`);
  });
}

async function readJson(request) {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) text += chunk;
  return text === '' ? undefined : JSON.parse(text);
}
