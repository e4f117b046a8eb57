import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { localPerson, localTenant } from '../access/principals.ts';
import { createToken, principalOf, revokeToken } from '../access/tokens.ts';
import type { App } from '../app.ts';
import type { Config } from '../config.ts';
import { toWeaverError, WeaverError } from '../errors.ts';
import { type Authenticate, authenticateByToken, authenticateNobody } from '../http/auth.ts';
import { isLoopback } from '../http/gate.ts';
import { type Exchange, type Listener, openListener, type Route } from '../http/listener.ts';
import { challengeFor, metadataRoutes } from '../http/metadata.ts';
import { authenticateByOAuth, type OAuthRules } from '../http/oauth.ts';
import { sendJson } from '../http/problem.ts';
import { createMcpEdge } from '../server/http.ts';
import { apiRoutes } from '../web/api.ts';

const graceMs = 10_000;
const lookMs = 2_000;

export interface HttpServer {
  url: string;
  /** Where the token of the first start is; absent when tokens are not what lets callers in. */
  tokenFile?: string;
  /** Takes no more requests; calls under way have 10 s to end. */
  close(): Promise<void>;
}

/**
 * Serves MCP at `/mcp` and the JSON API at `/v1`, with `/healthz` and `/readyz`.
 * @throws WeaverError `bad_input` for settings that do not go together, `not_supported` when the address is taken.
 */
export async function openHttpServer(app: App): Promise<HttpServer> {
  const { config, log } = app;
  const { host, port } = splitAddress(config.httpAddress);
  if (config.auth === 'none' && !isLoopback(host)) {
    throw new WeaverError('bad_input', `${config.httpAddress} can be reached from elsewhere, and auth is none.`, {
      hint: 'Use --auth token or --auth oauth, or listen on 127.0.0.1.',
    });
  }
  let listener: Listener | undefined;
  const publicUrl = () =>
    config.auth === 'oauth' && config.audience ? new URL(config.audience).origin : (listener?.url ?? '');
  const oauth = config.auth === 'oauth' ? oauthRules(config) : undefined;
  const tokenFile = config.auth === 'token' ? await firstToken(app) : undefined;
  const edge = createMcpEdge(app);
  const routes: Route[] = [
    edge.route,
    ...apiRoutes({ ...app, publicUrl }),
    ...healthRoutes(app),
    ...(oauth ? metadataRoutes(publicUrl, oauth) : []),
  ];
  listener = await openListener({
    host,
    port,
    gate: { hosts: config.httpAllowedHosts, origins: config.httpAllowedOrigins },
    authenticate: authenticator(app, oauth),
    challenge: challengeFor(publicUrl, oauth !== undefined),
    routes,
    log,
  });
  const look = lookAround(app);
  const { url, close } = listener;
  return {
    url,
    ...(tokenFile !== undefined && { tokenFile }),
    async close() {
      clearInterval(look);
      const closed = close(graceMs + 500);
      for (const giveUpAt = Date.now() + graceMs; edge.underWay() > 0 && Date.now() < giveUpAt; ) await sleep(20);
      await edge.close();
      await closed;
    },
  };
}

function splitAddress(address: string): { host: string; port: number } {
  const at = address.lastIndexOf(':');
  return { host: address.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(address.slice(at + 1)) };
}

function authenticator({ config, database }: App, oauth: OAuthRules | undefined): Authenticate {
  if (oauth) return authenticateByOAuth(oauth);
  return config.auth === 'none' ? authenticateNobody : authenticateByToken(database);
}

function oauthRules({ issuer, audience }: Config): OAuthRules {
  if (issuer !== undefined && audience !== undefined && URL.canParse(audience)) return { issuer, audience };
  throw new WeaverError('bad_input', 'auth is oauth, but issuer or audience is not set to an address.', {
    hint: 'Give --issuer https://issuer.example.com and --audience https://this-server.example.com/mcp.',
  });
}

/** The file with an agent's token, made at the first start; readable by this user only. */
async function firstToken({ config, database }: App): Promise<string> {
  const file = join(config.home, 'token');
  const known = await readFile(file, 'utf8').catch(() => undefined);
  // A token that was revoked stays revoked: only one that this database does not know is made anew.
  if (known !== undefined && (await principalOf(database, known.trim(), Date.now())) !== 'unknown') return file;
  const by = localPerson();
  const request = { name: 'local', kind: 'agent' as const, roles: ['author'] };
  const { token, info } = await createToken(database, by, request, Date.now());
  try {
    await writeFile(file, `${token}\n`, { mode: 0o600, flag: known === undefined ? 'wx' : 'w' });
  } catch (error) {
    await revokeToken(database, by.tenant, info.id, Date.now());
    // Another server has made the file just now.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  return file;
}

function healthRoutes({ database, source }: App): Route[] {
  const handle =
    (check: () => Promise<void>) =>
    async ({ response }: Exchange) => {
      try {
        await check();
        sendJson(response, 200, { status: 'ok' });
      } catch (error) {
        sendJson(response, 503, { status: 'unavailable', database: toWeaverError(error).code });
      }
    };
  return [
    { path: '/healthz', isOpen: true, handle: handle(async () => {}) },
    {
      path: '/readyz',
      isOpen: true,
      handle: handle(async () => {
        await source.freshen(localTenant);
        await database.read.selectFrom('generation').select('value').limit(1).execute();
      }),
    },
  ];
}

// What other processes on this home save is announced too, without waiting for a request.
function lookAround({ source, log }: App): NodeJS.Timeout {
  return setInterval(() => {
    source.freshen(localTenant).catch((error: unknown) => log.warn({ error }, 'the library could not be read'));
  }, lookMs).unref();
}
