import * as z from 'zod';
import type { NetCapability, SecretCapability } from '../contracts.ts';
import { type ErrorCode, toWeaverError, WeaverError } from '../errors.ts';
import { addressKind } from '../net/address.ts';
import { createClient, type NetClient } from '../net/client.ts';
import type { NetLimits } from '../net/request.ts';
import { type NetResponse, readBytes } from '../net/response.ts';
import { type HostRule, placeOf } from '../net/rules.ts';
import type { Transport } from '../net/transport.ts';
import { createMask, type Mask } from '../secrets/mask.ts';
import { asksForSecret, fillSecrets, type OpenedSecret } from './fill-secrets.ts';

/** What sandboxed code gets from `ctx.fetch`. Only JSON crosses. */
export interface FetchAnswer {
  status: number;
  statusText: string;
  url: string;
  /** By their names in lower case. */
  headers: Record<string, string>;
  /** Text, or base64 where the bytes are none. */
  body: string;
  bodyEncoding: 'utf8' | 'base64';
}

/** One request as a run keeps it: where it went and how much, never what. */
export interface FetchRecord {
  /** Those that were asked, redirects included; the one that was meant where none was. */
  hosts: readonly string[];
  method: string;
  status?: number;
  /** Why there is no answer. */
  error?: ErrorCode;
  bytesOut: number;
  bytesIn: number;
  durationMs: number;
  /** Names of the secrets that were sent. */
  secrets: readonly string[];
}

interface FetchParts {
  transport: Transport;
  grants: { net: readonly NetCapability[]; secrets: readonly SecretCapability[] };
  /** What whoever runs this server allows beyond public hosts by name. */
  policy: { anyHost?: boolean; privateHosts?: readonly string[] };
  /** @throws WeaverError `not_found`, `secret_unreadable`. */
  openSecret(name: string): Promise<OpenedSecret>;
  record(request: FetchRecord): void;
  limits?: Partial<NetLimits>;
}

/** `ctx.fetch` of one run. */
export interface Fetch {
  /**
   * Sends what code asks for, as its capabilities allow, and gives what came back without the secrets of this code.
   * @throws WeaverError `bad_input`, `not_allowed`, and those of the client, of secrets and of masks, masked themselves.
   */
  send(url: unknown, init: unknown, signal: AbortSignal): Promise<FetchAnswer>;
  /** Masks all secrets that this code was granted, for whatever else leaves the run: its value, logs, errors. */
  mask(): Promise<Mask>;
}

const initShape = z.strictObject({
  method: z.string().default('GET'),
  headers: z.record(z.string(), z.string()).default({}),
  body: z.string().nullish(),
  bodyEncoding: z.enum(['utf8', 'base64']).default('utf8'),
});
type Init = z.infer<typeof initShape>;

/** @throws WeaverError `bad_input` for a host that no rule can have. */
export function createFetch(parts: FetchParts): Fetch {
  const { transport, grants, policy, limits } = parts;
  const allow = grants.net.map((one) => ruleOf(one, policy.privateHosts ?? []));
  const client = createClient({ transport, allow, anyHost: policy.anyHost, limits });
  let opened: Promise<Opened> | undefined;
  const open = (): Promise<Opened> => {
    opened ??= openAll(parts).catch((error: unknown) => {
      // A database that was busy may not be so the next time.
      opened = undefined;
      throw error;
    });
    return opened;
  };
  return {
    mask: async () => (await open()).mask,
    async send(url, init, signal) {
      const { secrets, mask } = await open();
      try {
        return await sendOne({ ...parts, client, secrets, mask }, url, init, signal);
      } catch (error) {
        throw maskError(mask, error);
      }
    },
  };
}

// A reviewer who lets code go to `localhost` or `10.0.0.5` has seen where that is. A name says nothing of the kind.
function ruleOf(capability: NetCapability, privateHosts: readonly string[]): HostRule {
  const { host } = capability;
  const isPrivate = host === 'localhost' || addressKind(host.replace(/^\[(.*)\]$/, '$1')) === 'private';
  return { ...capability, isPrivate: isPrivate || privateHosts.includes(host) };
}

interface Opened {
  /** Each that was granted, or why it cannot be sent. */
  secrets: ReadonlyMap<string, OpenedSecret | WeaverError>;
  mask: Mask;
}

// All of them, also those that a request does not send: a server may have kept one from an earlier request.
async function openAll({ grants, openSecret }: FetchParts): Promise<Opened> {
  const names = [...new Set(grants.secrets.map(({ name }) => name))];
  const open = async (name: string): Promise<[string, OpenedSecret | WeaverError]> => {
    try {
      return [name, await openSecret(name)];
    } catch (error) {
      // Told when it is asked for.
      if (error instanceof WeaverError && missing.includes(error.code)) return [name, error];
      throw error;
    }
  };
  const secrets = new Map(await Promise.all(names.map(open)));
  const known = [...secrets].flatMap(([name, one]) => (one instanceof WeaverError ? [] : [{ name, value: one.value }]));
  return { secrets, mask: createMask(known) };
}

const maxMethodLength = 20;
const missing: readonly ErrorCode[] = ['not_found', 'secret_unreadable'];

interface Sending extends FetchParts, Opened {
  client: NetClient;
}

async function sendOne(
  { client, grants, secrets, mask, record }: Sending,
  address: unknown,
  init: unknown,
  signal: AbortSignal,
): Promise<FetchAnswer> {
  const { method, headers: given, body: text, bodyEncoding } = parseInit(init);
  const url = parseAddress(address);
  refuseElsewhere(String(address), given, text);
  const body = text == null ? undefined : toBytes(text, bodyEncoding);
  const began = performance.now();
  const facts = {
    method: method.toUpperCase().slice(0, maxMethodLength),
    hosts: [placeOf(url)] as readonly string[],
    bytesOut: body?.byteLength ?? 0,
    bytesIn: 0,
    secrets: [] as string[],
  };
  try {
    const {
      headers,
      credentials,
      secrets: sent,
    } = await fillSecrets(url, given, grants.secrets, async (name) => openedOf(secrets, name));
    facts.secrets = sent;
    const response = await client.send({ url: url.href, method, headers, credentials, body, signal });
    facts.hosts = response.hosts;
    const bytes = await readBytes(response);
    record({ ...facts, status: response.status, bytesIn: bytes.length, durationMs: performance.now() - began });
    return toAnswer(response, bytes, mask);
  } catch (error) {
    record({ ...facts, error: toWeaverError(error).code, durationMs: performance.now() - began });
    throw error;
  }
}

function parseInit(init: unknown): Init {
  const parsed = initShape.safeParse(init ?? {});
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new WeaverError('bad_input', `fetch: ${[...(issue?.path ?? []), issue?.message].join(': ')}`, {
    hint: 'fetch(url, { method, headers, body, bodyEncoding }): headers is an object of texts, body a text.',
  });
}

function parseAddress(address: unknown): URL {
  if (typeof address === 'string' && URL.canParse(address)) return new URL(address);
  throw new WeaverError('bad_input', 'fetch: the address is none.', {
    hint: 'Use a whole one, such as https://api.example.com/items.',
  });
}

// It would stand there as it is, and whoever reads the server's log would wonder why it does not work.
function refuseElsewhere(
  url: string,
  headers: Readonly<Record<string, string>>,
  body: string | null | undefined,
): void {
  const places = {
    'the address': url,
    'the name of a header': Object.keys(headers).join('\n'),
    'the body': body ?? '',
  };
  const where = Object.entries(places).find(([, text]) => asksForSecret(text))?.[0];
  if (where === undefined) return;
  throw new WeaverError('bad_input', `fetch: a secret stands in ${where}; it goes into the value of a header only.`, {
    hint: "Use headers: { authorization: 'Bearer {{secret:NAME}}' }.",
  });
}

function toBytes(text: string, encoding: Init['bodyEncoding']): Uint8Array {
  const isBase64 = encoding === 'utf8' || /^[A-Za-z0-9+/]*={0,2}$/.test(text);
  if (isBase64) return Buffer.from(text, encoding);
  throw new WeaverError('bad_input', 'fetch: the body is not base64.', {
    hint: 'Encode it, or leave bodyEncoding out for text.',
  });
}

function openedOf(secrets: Opened['secrets'], name: string): OpenedSecret {
  const secret = secrets.get(name);
  if (secret instanceof WeaverError || secret === undefined) throw secret ?? new Error(`${name} was not opened`);
  return secret;
}

function toAnswer({ status, statusText, url, headers }: NetResponse, bytes: Buffer, mask: Mask): FetchAnswer {
  const text = textOf(bytes, headers['content-type'] ?? '');
  const content =
    text === undefined
      ? { body: mask.bytes(bytes).toString('base64'), bodyEncoding: 'base64' as const }
      : { body: mask.text(text), bodyEncoding: 'utf8' as const };
  const masked = mask.json({ statusText, url, headers }) as Pick<FetchAnswer, 'statusText' | 'url' | 'headers'>;
  return { status, ...masked, ...content };
}

// By what it is, not by what it is called: JSON, CSV and XML come under all sorts of types.
function textOf(bytes: Buffer, type: string): string | undefined {
  const [, label = 'utf-8'] = /charset\s*=\s*"?([\w:-]+)/i.exec(type) ?? [];
  for (const encoding of [label, 'utf-8']) {
    try {
      return new TextDecoder(encoding, { fatal: true }).decode(bytes);
    } catch {
      // Not in this encoding, or there is none of that name: then it is another, or no text.
    }
  }
  return undefined;
}

// Its cause goes to the log, and a parser's error holds what the server sent.
/** An error without secrets: its text, details and what caused it. */
export function maskError(mask: Mask, thrown: unknown): WeaverError {
  const { code, message, hint, details, cause } = toWeaverError(thrown);
  return new WeaverError(code, mask.text(message), {
    ...(hint !== undefined && { hint: mask.text(hint) }),
    ...(details && { details: mask.json(details) as Record<string, unknown> }),
    ...(cause !== undefined && { cause: maskCause(mask, cause) }),
  });
}

function maskCause(mask: Mask, cause: unknown): Error {
  const { message, stack } = cause instanceof Error ? cause : new Error(String(cause));
  const masked = new Error(mask.text(message));
  masked.stack = mask.text(stack ?? message);
  return masked;
}
