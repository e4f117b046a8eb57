import { WeaverError } from '../errors.ts';
import { checkHeaders } from '../net/headers.ts';
import { hostProblem, placeOf } from '../net/rules.ts';

/** Where a secret may go: to these hosts, in this header, over https. */
export interface Binding {
  /** `api.example.com`, or with a port that is not 443: `api.example.com:8443`. */
  hosts: readonly string[];
  /** In lower case. */
  header: string;
}

const namePattern = /^[A-Z][A-Z0-9_]{0,63}$/;
const minLength = 8;
const maxLength = 8_000;
const headerLimits = { headerCount: 1, headerBytes: 16_384 };

/** @throws WeaverError `bad_input` unless it can stand in `{{secret:NAME}}`. */
export function checkName(name: string): void {
  if (namePattern.test(name)) return;
  throw new WeaverError('bad_input', `${JSON.stringify(name.slice(0, 80))} is no name for a secret.`, {
    hint: 'Use capitals, digits and underscores, such as GITHUB_TOKEN.',
  });
}

/** The value is in no error. @throws WeaverError `bad_input` unless it can be sent in a header and masked. */
export function checkValue(name: string, value: string): void {
  const problem = valueProblem(value);
  if (problem) throw new WeaverError('bad_input', `The value of ${name} ${problem.message}.`, { hint: problem.hint });
}

function valueProblem(value: string): { message: string; hint: string } | undefined {
  if (value.length < minLength) {
    return {
      message: `has ${value.length} characters; it needs at least ${minLength}`,
      hint: 'A shorter one would be guessed, and could not be masked without masking half of every text.',
    };
  }
  if (value.length > maxLength)
    return { message: `has more than ${maxLength} characters`, hint: 'A header carries no more.' };
  if (/^[\x20-\x7e]+$/.test(value) && value.trim() === value) return undefined;
  return {
    message: 'has a line break, a control, a letter outside of ASCII, or a blank at an end',
    hint: 'A header carries one line of plain characters. Encode it first if it must be another.',
  };
}

/** The binding in its one form. @throws WeaverError `bad_input`. */
export function checkBinding({ hosts, header }: Binding): Binding {
  if (hosts.length === 0) {
    throw new WeaverError('bad_input', 'A secret goes nowhere without a host.', {
      hint: 'Name those that may get it: --host api.example.com',
    });
  }
  const [name = ''] = Object.keys(checkHeaders({ [header]: '' }, headerLimits));
  return { hosts: [...new Set(hosts.map(checkHost))].sort(), header: name };
}

function checkHost(host: string): string {
  const url = URL.canParse(`https://${host}/`) ? new URL(`https://${host}/`) : undefined;
  const name = host.replace(/:\d+$/, '');
  const problem = name.startsWith('*') ? `${host} is no single host` : hostProblem(name);
  const usual = url && placeOf(url);
  if (!problem && usual === host) return host;
  throw new WeaverError(
    'bad_input',
    `A secret cannot be bound to a host: ${problem ?? `${host} is written ${usual}`}.`,
    {
      hint: 'Name each host, with its port when that is not 443, such as api.example.com or api.example.com:8443.',
    },
  );
}
