import type { Dispatcher } from 'undici';
import { WeaverError } from '../errors.ts';
import { version } from '../package.ts';
import { acceptEncoding } from './body.ts';
import { openDeadline } from './deadline.ts';
import { toNetError } from './failure.ts';
import { locationOf, redirected } from './redirect.ts';
import { defaultNetLimits, type NetLimits, type NetRequest, prepare, type Step } from './request.ts';
import { discard, type NetResponse, toResponse } from './response.ts';
import { describeRules, type HostRule, judge, placeOf, ruleProblem } from './rules.ts';
import type { Transport } from './transport.ts';

/** Asks servers by HTTP, within a list of hosts and limits. */
export interface NetClient {
  /**
   * Sends a request and follows redirects, each checked like the first.
   * @throws WeaverError `bad_input`, `not_allowed`, `limit_exceeded`, `timed_out`, `cancelled`, `busy`, `unavailable`.
   */
  send(request: NetRequest): Promise<NetResponse>;
}

interface ClientOptions {
  transport: Transport;
  allow: readonly HostRule[];
  /** Whether the policy lets a rule name every host (`*`). */
  anyHost?: boolean | undefined;
  limits?: Partial<NetLimits> | undefined;
}

/**
 * A client that reaches the hosts of `allow` and no others. Cheap; connections are the transport's.
 * @throws WeaverError `bad_input` for a rule that cannot be used.
 */
export function createClient({ transport, allow, anyHost, limits: some }: ClientOptions): NetClient {
  const problem = allow.map((rule) => ruleProblem(rule, { anyHost })).find((one) => one !== undefined);
  if (problem) throw new WeaverError('bad_input', `A host to reach cannot be used: ${problem}.`);
  const limits = { ...defaultNetLimits, ...some };
  return {
    async send(request) {
      const first = prepare(request, limits);
      const leave = transport.enter();
      const deadline = openDeadline(limits.totalMs, request.signal);
      const end = () => {
        deadline.close();
        leave();
      };
      // Also where nobody reads the answer any more.
      deadline.signal.addEventListener('abort', leave, { once: true });
      try {
        const { answer, url, hosts } = await follow({ transport, allow, limits, signal: deadline.signal }, first);
        return toResponse(answer, { url, hosts, limits, method: first.method, signal: deadline.signal, end });
      } catch (error) {
        const failed = deadline.signal.aborted ? deadline.signal.reason : error;
        end();
        throw failed;
      }
    },
  };
}

function allowed(allow: readonly HostRule[], url: URL, method: string): { isPrivate: boolean } {
  const verdict = judge(allow, url, method);
  if (verdict.isAllowed) return verdict;
  throw new WeaverError('not_allowed', `${verdict.why}.`, { hint: `May be reached: ${describeRules(allow)}.` });
}

interface Road {
  transport: Transport;
  allow: readonly HostRule[];
  limits: NetLimits;
  signal: AbortSignal;
}

interface Arrived {
  answer: Dispatcher.ResponseData;
  url: URL;
  hosts: string[];
}

async function follow(road: Road, first: Step): Promise<Arrived> {
  const { redirects } = road.limits;
  const hosts: string[] = [];
  for (let step = first; ; ) {
    const answer = await sendStep(road, step);
    hosts.push(placeOf(step.url));
    const location = locationOf(answer);
    if (location === undefined) return { answer, url: step.url, hosts };
    discard(answer);
    if (hosts.length > redirects) {
      throw new WeaverError('limit_exceeded', `${hosts[0]} redirects more than ${redirects} times.`, {
        hint: 'Ask the last address itself.',
        details: { limit: 'redirects' },
      });
    }
    step = redirected(step, answer.statusCode, location, road.limits);
  }
}

async function sendStep({ transport, allow, limits, signal }: Road, step: Step): Promise<Dispatcher.ResponseData> {
  const { url, method, body } = step;
  const { isPrivate } = allowed(allow, url, method);
  const headers = { ...usual, ...step.headers, ...step.credentials };
  const { headersMs: headersTimeoutMs, idleMs: idleTimeoutMs } = limits;
  const times = { headersTimeoutMs, idleTimeoutMs };
  signal.throwIfAborted();
  try {
    const verb = method as Dispatcher.HttpMethod;
    return await transport.send({ url, isPrivate, method: verb, headers, body, signal, ...times });
  } catch (error) {
    throw toNetError(placeOf(url), error);
  }
}

const usual = { 'user-agent': `toolweaver/${version}`, accept: '*/*', 'accept-encoding': acceptEncoding };
