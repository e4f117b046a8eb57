import { access } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { firstToken } from '../access/first-token.ts';
import { localTenant } from '../access/principals.ts';
import type { App } from '../app.ts';
import type { Config } from '../config.ts';
import { toWeaverError, WeaverError } from '../errors.ts';
import { type Authenticate, authenticateByToken, authenticateNobody } from '../http/auth.ts';
import { isLoopback } from '../http/gate.ts';
import { type Exchange, type ListenerTimes, openListener, type Route } from '../http/listener.ts';
import { challengeFor, metadataRoutes } from '../http/metadata.ts';
import { authenticateByOAuth, type OAuthRules } from '../http/oauth.ts';
import { sendJson } from '../http/problem.ts';
import { type Log, sayOnce, type Trouble } from '../log.ts';
import { logLook } from '../server/announce.ts';
import { createMcpEdge, type McpEdge, type McpEdgeOptions } from '../server/http.ts';
import { apiRoutes } from '../web/api.ts';

const callsEndMs = 10_000;
const lookMs = 2_000;

export interface HttpServer {
  url: string;
  /** Where the token of the first start is; absent when tokens are not what lets callers in. */
  tokenFile?: string;
  /** Takes no more requests; calls under way have 10 s to end. */
  close(): Promise<void>;
}

export interface HttpServerOptions extends McpEdgeOptions {
  /** How long calls under way have to end, in milliseconds. */
  graceMs?: number;
  times?: Partial<ListenerTimes>;
}

/**
 * Serves MCP at `/mcp` and the JSON API at `/v1`, with `/healthz` and `/readyz`.
 * @throws WeaverError `bad_input` for settings that do not go together, `not_supported` when the address is taken.
 */
export async function openHttpServer(app: App, options: HttpServerOptions = {}): Promise<HttpServer> {
  const { config, log, database } = app;
  const { host, port } = listenAddress(config);
  const oauth = config.auth === 'oauth' ? oauthRules(config) : undefined;
  const tokenFile = config.auth === 'token' ? await firstToken(database, config.home, Date.now()) : undefined;
  const edge = createMcpEdge(app, options);
  let url = '';
  const publicUrl = () => (oauth ? new URL(oauth.audience).origin : url);
  const opened = openListener({
    host,
    port,
    gate: { hosts: config.httpAllowedHosts, origins: config.httpAllowedOrigins },
    authenticate: authenticator(app, oauth),
    challenge: challengeFor(oauth),
    routes: [
      edge.route,
      ...apiRoutes({ ...app, publicUrl }),
      ...healthRoutes(app),
      ...(oauth ? metadataRoutes(oauth) : []),
    ],
    log,
    times: options.times,
  });
  const listener = await opened.catch(async (error: unknown) => {
    await edge.close();
    throw error;
  });
  url = listener.url;
  const look = lookAround(app, edge);
  return {
    url,
    ...(tokenFile !== undefined && { tokenFile }),
    async close() {
      clearInterval(look);
      listener.stop();
      const giveUpAt = performance.now() + (options.graceMs ?? callsEndMs);
      while (listener.underWay() > 0 && performance.now() < giveUpAt) await sleep(20);
      await edge.close();
      await listener.close();
    },
  };
}

function listenAddress({ httpAddress, auth }: Config): { host: string; port: number } {
  const at = httpAddress.lastIndexOf(':');
  const host = httpAddress.slice(0, at).replace(/^\[|\]$/g, '');
  const port = Number(httpAddress.slice(at + 1));
  if (port > 65_535) {
    throw new WeaverError('bad_input', `${httpAddress} has no port that exists.`, { hint: 'Ports end at 65535.' });
  }
  if (auth === 'none' && !isLoopback(host)) {
    throw new WeaverError('bad_input', `${httpAddress} can be reached from elsewhere, and auth is none.`, {
      hint: 'Use --auth token or --auth oauth, or listen on 127.0.0.1.',
    });
  }
  return { host, port };
}

function authenticator({ config, database }: App, oauth: OAuthRules | undefined): Authenticate {
  if (oauth) return authenticateByOAuth(oauth);
  return config.auth === 'none' ? authenticateNobody : authenticateByToken(database);
}

function oauthRules({ issuer, audience }: Config): OAuthRules {
  const isAddress = audience !== undefined && /^https?:/.test(audience) && URL.canParse(audience);
  if (issuer !== undefined && isAddress) return { issuer, audience };
  throw new WeaverError('bad_input', 'auth is oauth, but issuer or audience is not set to an address.', {
    hint: 'Give --issuer https://issuer.example.com and --audience https://this-server.example.com/mcp.',
  });
}

function healthRoutes(app: App): Route[] {
  const route = (path: string, check: () => Promise<object>, trouble = troubleOf(app.log, path)): Route => ({
    path,
    methods: ['GET', 'HEAD'],
    isOpen: true,
    handle: ({ response }: Exchange) =>
      check().then(
        (state) => {
          trouble.ends();
          sendJson(response, 200, state);
        },
        (error: unknown) => {
          trouble.begins(error);
          sendJson(response, 503, { status: 'unavailable', database: toWeaverError(error).code });
        },
      ),
  });
  const ready = async (): Promise<object> => {
    await askDatabase(app);
    // Nothing needs Redis: requests are best sent here all the same.
    return app.redis?.trouble() === undefined ? { status: 'ok' } : { status: 'degraded', redis: 'unavailable' };
  };
  return [route('/healthz', async () => ({ status: 'ok' })), route('/readyz', ready)];
}

const troubleOf = (log: Log, path: string): Trouble =>
  sayOnce({
    begins: (error) => log.warn({ error }, `${path} is not well`),
    ends: () => log.warn({}, `${path} is well again`),
  });

async function askDatabase({ database, source }: App): Promise<void> {
  await source.freshen(localTenant);
  await database.read.selectFrom('generation').select('value').limit(1).execute();
  // An open file that somebody deleted goes on answering, and what is written to it is lost.
  if (database.kind === 'sqlite' && database.file !== ':memory:') await access(database.file);
}

// What other processes on this home save is announced too, without waiting for a request.
function lookAround({ source, log }: App, edge: McpEdge): NodeJS.Timeout {
  const look = async () => {
    for (const tenant of new Set([localTenant, ...edge.tenants()])) await source.freshen(tenant);
  };
  return setInterval(() => {
    look().catch((error: unknown) => logLook(log, error));
  }, lookMs).unref();
}
