import type { EventSink } from '../analytics/events.ts';
import type { ToolContext } from '../catalog/tool.ts';
import type { Manifest } from '../library/kind.ts';
import type { Transport } from '../net/transport.ts';
import type { Keyring } from '../secrets/keyring.ts';
import type { Mask } from '../secrets/mask.ts';
import { openSecret } from '../secrets/table.ts';
import type { Database } from '../store/database.ts';
import { type Bridge, createBridge } from './bridge.ts';
import { createFetch, type FetchRecord } from './fetch.ts';
import type { Workspace } from './workspace.ts';

export interface ReachParts {
  database: Database;
  sink: Pick<EventSink, 'record'>;
  transport: Transport;
  keyring: Keyring;
  workspaces: (tenant: string, skill: string) => Workspace;
  allowAnyHost: boolean;
  privateHosts: readonly string[];
}

/** What an approved version reaches in one run, and how its secrets are kept out of what leaves it. */
export interface LiveReach {
  bridge: Bridge;
  /** Undefined where it was granted no secret. */
  mask: Mask | undefined;
}

/** Opens what the capabilities of a version grant to one call of it. */
export async function openReach(parts: ReachParts, manifest: Manifest, ctx: ToolContext): Promise<LiveReach> {
  const { name, capabilities } = manifest;
  const { net, secrets, files } = capabilities;
  const { tenant } = ctx.request.principal;
  const fetch =
    net.length === 0
      ? undefined
      : createFetch({
          transport: parts.transport,
          grants: { net, secrets },
          policy: { anyHost: parts.allowAnyHost, privateHosts: parts.privateHosts },
          openSecret: (secret) => openSecret(parts.database, parts.keyring, tenant, secret),
          record: (request) => recordRequest(parts, ctx, request),
        });
  const space = files === 'none' ? undefined : parts.workspaces(tenant, name);
  return {
    bridge: createBridge({ fetch, files: space && { space, canWrite: files === 'write' } }),
    mask: secrets.length > 0 ? await fetch?.mask() : undefined,
  };
}

// An event of its own below that of the call: where it went and how much, never what.
function recordRequest({ sink }: ReachParts, { request, callId, runId }: ToolContext, sent: FetchRecord): void {
  const { principal, via } = request;
  sink.record({
    id: crypto.randomUUID(),
    at: Date.now(),
    tenant: principal.tenant,
    tool: `${sent.method} ${sent.hosts.at(-1) ?? ''}`,
    kind: 'request',
    principal: principal.id,
    via,
    code: sent.error ?? (sent.status !== undefined && sent.status >= 400 ? `http_${sent.status}` : 'done'),
    durationMs: sent.durationMs,
    bytesIn: sent.bytesOut,
    bytesOut: sent.bytesIn,
    tokens: 0,
    run: runId,
    parent: callId,
  });
}
