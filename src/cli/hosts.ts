import { join } from 'node:path';

/** A program that starts MCP servers: where it keeps their list, and how that list looks. */
export interface Host {
  title: string;
  /** The key that holds the servers. */
  key: 'mcpServers' | 'servers';
  file(places: Places): string;
  /** All where the host loads tools only when needed, auto where every listed tool costs context. */
  expose: 'all' | 'auto';
  after: string;
}

export interface Places {
  platform: NodeJS.Platform;
  home: string;
  cwd: string;
  env: NodeJS.ProcessEnv;
}

/** The hosts that `toolweaver install` knows. */
export const hosts = {
  claude: {
    title: 'Claude Desktop',
    key: 'mcpServers',
    file: (places) => join(appData(places), 'Claude', 'claude_desktop_config.json'),
    expose: 'auto',
    after: 'Quit Claude Desktop and start it again.',
  },
  'claude-code': {
    title: 'Claude Code, in this project',
    key: 'mcpServers',
    file: ({ cwd }) => join(cwd, '.mcp.json'),
    expose: 'all',
    after: 'Start claude in this folder and allow the server when it asks.',
  },
  cursor: {
    title: 'Cursor',
    key: 'mcpServers',
    file: ({ home }) => join(home, '.cursor', 'mcp.json'),
    expose: 'all',
    after: 'Open Cursor Settings, MCP, and switch toolweaver on.',
  },
  vscode: {
    title: 'VS Code, in this project',
    key: 'servers',
    file: ({ cwd }) => join(cwd, '.vscode', 'mcp.json'),
    expose: 'auto',
    after: 'Open the folder in VS Code and start the server from .vscode/mcp.json.',
  },
} as const satisfies Record<string, Host>;

export type HostName = keyof typeof hosts;

function appData({ platform, home, env }: Places): string {
  if (platform === 'darwin') return join(home, 'Library', 'Application Support');
  if (platform === 'win32') return env.APPDATA ?? join(home, 'AppData', 'Roaming');
  return env.XDG_CONFIG_HOME ?? join(home, '.config');
}
