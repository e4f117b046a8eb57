import type { McpServer } from '@modelcontextprotocol/server';
import type { Call } from '../catalog/call.ts';
import type { Catalog, ToolSource } from '../catalog/catalog.ts';
import type { Config } from '../config.ts';
import type { Log } from '../log.ts';
import type { Database } from '../store/database.ts';
import type { Listing } from './listing.ts';

/** What every MCP server of this process is made of. */
export interface McpParts {
  call: Call;
  catalog: Catalog;
  config: Pick<Config, 'elicitationApproves'>;
  listing: Listing;
  source: ToolSource;
  database: Database;
  log: Log;
  /** After how many milliseconds a call goes on in the background; 45,000 where absent. */
  backgroundAfterMs?: number;
  /** How long a client that listens to progress may hear nothing, in milliseconds; 20,000 where absent. */
  silenceMs?: number;
  /** Adds to a server what only conformance tests want. */
  extend?(mcp: McpServer): void;
}
