import { Client, type ClientOptions, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { type Connect, examine, type Reply, type Target } from './exam.ts';

const modes = { legacy: '2025-11-25', auto: '2026-07-28' } as const;

const transportTo = (target: Target) =>
  target.transport === 'stdio'
    ? new StdioClientTransport({ ...target, stderr: 'ignore' })
    : new StreamableHTTPClientTransport(new URL(target.url), {
        requestInit: { headers: { authorization: `Bearer ${target.token}` } },
      });

const connectAs =
  (mode: keyof typeof modes): Connect =>
  async (target, reply) => {
    let changes = 0;
    const options: ClientOptions = {
      versionNegotiation: { mode },
      capabilities: reply ? { elicitation: {} } : {},
      listChanged: { tools: { autoRefresh: false, onChanged: () => void changes++ } },
    };
    const client = new Client({ name: 'foreign', version: '1.0.0' }, options);
    if (reply) client.setRequestHandler('elicitation/create', () => reply satisfies Reply);
    await client.connect(transportTo(target));
    return {
      version: client.getNegotiatedProtocolVersion(),
      changes: () => changes,
      async list() {
        const names: string[] = [];
        let pages = 0;
        for (let cursor: string | undefined; pages === 0 || cursor !== undefined; pages++) {
          const page = await client.request({ method: 'tools/list', params: cursor === undefined ? {} : { cursor } });
          names.push(...page.tools.map(({ name }) => name));
          cursor = page.nextCursor;
        }
        return { names, pages };
      },
      call: (name, input = {}, more) => client.callTool({ name, arguments: input }, more),
      close: () => client.close(),
    };
  };

for (const mode of ['legacy', 'auto'] as const) {
  examine(`the TypeScript SDK 2 (${mode})`, modes[mode], connectAs(mode));
}
