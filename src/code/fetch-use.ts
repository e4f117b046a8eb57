import type { NodePath } from '@babel/traverse';
import { constantInit, type KnownText, knownText, literalText, staticName } from './literals.ts';
import { isTypeWrapper } from './program.ts';

/** What can be known of a `ctx.fetch(…)`. */
export interface Request {
  /** Absent where the source does not say it. */
  host?: string;
  port?: number;
  /** In capitals; absent where the source does not say it. */
  method?: string;
  /** Why the address can never be fetched. */
  problem?: string;
}

// Up to its end: `https://example.com${x}` may as well be a request to example.com.evil.test.
const origin = /^([a-z][a-z0-9+.-]*):[/\\]{2}([^/\\?#]*)(?=[/\\?#]|$)/i;
const defaultPorts: Readonly<Record<string, number>> = { 'http:': 80, 'https:': 443 };

/** Reads the address and the method of a request from the source. */
export function readRequest(call: NodePath): Request {
  const [address, options] = call.get('arguments') as NodePath[];
  const method = readMethod(options);
  return { ...(address && readAddress(knownText(address))), ...(method !== undefined && { method }) };
}

/** What the address of a request says, as far as the source says it. */
export function readAddress({ text, isWhole }: KnownText): Pick<Request, 'host' | 'port' | 'problem'> {
  const found = origin.exec(text);
  if (!found) return isWhole ? { problem: 'the address is not a whole one, such as https://api.example.com/v1' } : {};
  if (!isWhole && found[0].length === text.length) return {};
  if (!URL.canParse(found[0])) return { problem: 'the address cannot be read' };
  const { protocol, username, password, hostname, port } = new URL(found[0]);
  const usual = defaultPorts[protocol];
  if (usual === undefined) return { problem: `${protocol} is no protocol of ctx.fetch; there are http and https` };
  if (username || password) return { problem: 'an address may not hold a user or password' };
  // A dot at the end is the same host to DNS, and to the host process.
  return { host: hostname.replace(/\.$/, ''), port: port === '' ? usual : Number(port) };
}

function readMethod(options: NodePath | undefined): string | undefined {
  if (!options) return 'GET';
  if (isTypeWrapper(options)) return readMethod(options.get('expression') as NodePath);
  if (!options.isObjectExpression()) {
    const init = constantInit(options);
    return init && !init.isIdentifier() ? readMethod(init) : undefined;
  }
  let method: string | undefined = 'GET';
  for (const property of options.get('properties')) {
    if (!property.isObjectProperty()) return undefined;
    const name = staticName(property.get('key') as NodePath, property.node.computed);
    if (name === undefined) return undefined;
    if (name === 'method') method = literalText(property.get('value') as NodePath)?.toUpperCase();
  }
  return method;
}
