import type { Dispatcher } from 'undici';
import { WeaverError } from '../errors.ts';
import { type NetLimits, parseUrl, type Step } from './request.ts';
import { placeOf } from './rules.ts';

const redirects = [301, 302, 303, 307, 308];

/** Where an answer redirects to, as it says; undefined where it does not. */
export function locationOf({ statusCode, headers }: Dispatcher.ResponseData): string | undefined {
  const { location } = headers;
  // Two locations are a riddle that each reader solves in another way.
  return redirects.includes(statusCode) && typeof location === 'string' ? location : undefined;
}

/**
 * The request that follows a redirect (RFC 9110 15.4, as browsers read it). Credentials stay behind when the origin changes.
 * @throws WeaverError `unavailable` for a place where nothing can be sent, `not_allowed` from https to http with credentials.
 */
export function redirected(step: Step, status: number, location: string, limits: NetLimits): Step {
  const url = targetUrl(location, step.url, limits);
  if (step.wasSecret && step.url.protocol === 'https:' && url.protocol === 'http:') {
    const from = placeOf(step.url);
    throw new WeaverError('not_allowed', `${from} redirects from https to http, after credentials were sent.`, {
      hint: 'Ask an address that answers over https.',
    });
  }
  const becomesGet = status === 303 ? step.method !== 'HEAD' : status < 303 && step.method === 'POST';
  return {
    ...step,
    url,
    credentials: url.origin === step.url.origin ? step.credentials : {},
    ...(becomesGet && { method: 'GET', headers: withoutBody(step.headers), body: undefined }),
  };
}

function targetUrl(target: string, from: URL, limits: NetLimits): URL {
  try {
    return parseUrl(target, limits, from);
  } catch (cause) {
    const { message, hint } = cause as WeaverError;
    throw new WeaverError('unavailable', `${placeOf(from)} redirects to where nothing can be sent. ${message}`, {
      ...(hint !== undefined && { hint }),
      cause,
    });
  }
}

const withoutBody = (headers: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith('content-')));
