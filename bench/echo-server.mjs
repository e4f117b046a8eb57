// The baseline: the SDK's own server with one tool that answers its input.
import { McpServer } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';

const inputSchema = { type: 'object' };
serveStdio(() => {
  const mcp = new McpServer({ name: 'echo', version: '1.0.0' }, { capabilities: { tools: {} } });
  mcp.server.setRequestHandler('tools/list', async () => ({ tools: [{ name: 'echo', inputSchema }] }));
  mcp.server.setRequestHandler('tools/call', async ({ params }) => ({
    content: [{ type: 'text', text: JSON.stringify(params.arguments) }],
    structuredContent: params.arguments,
  }));
  return mcp;
});
