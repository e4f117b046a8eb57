import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import {
  ElicitRequestSchema,
  LATEST_PROTOCOL_VERSION,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { type CallResult, type Connect, examine, type Target } from './exam.ts';

const transportTo = (target: Target) =>
  target.transport === 'stdio'
    ? new StdioClientTransport({ ...target, stderr: 'ignore' })
    : new StreamableHTTPClientTransport(new URL(target.url), {
        requestInit: { headers: { authorization: `Bearer ${target.token}` } },
      });

const connect: Connect = async (target, reply) => {
  let changes = 0;
  const client = new Client({ name: 'foreign', version: '1.0.0' }, { capabilities: reply ? { elicitation: {} } : {} });
  if (reply) client.setRequestHandler(ElicitRequestSchema, () => reply);
  client.setNotificationHandler(ToolListChangedNotificationSchema, () => void changes++);
  const transport = transportTo(target);
  // The SDK's own class does not fit its own interface under exactOptionalPropertyTypes.
  await client.connect(transport as Transport);
  return {
    version: LATEST_PROTOCOL_VERSION,
    changes: () => changes,
    async list() {
      const names: string[] = [];
      let pages = 0;
      for (let cursor: string | undefined; pages === 0 || cursor !== undefined; pages++) {
        const page = await client.listTools(cursor === undefined ? {} : { cursor });
        names.push(...page.tools.map(({ name }) => name));
        cursor = page.nextCursor;
      }
      return { names, pages };
    },
    call: (name, input = {}, more) =>
      client.callTool({ name, arguments: input }, undefined, more) as Promise<CallResult>,
    close: () => client.close(),
  };
};

examine('the TypeScript SDK 1', '2025-11-25', connect);
