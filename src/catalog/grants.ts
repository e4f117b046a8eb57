import type { Principal, Scope } from '../contracts.ts';
import { WeaverError } from '../errors.ts';

// Who may call a tool may also follow its own calls of it; the runs of others are not shown by these.
const forOwnRuns: readonly string[] = ['get_run', 'cancel_run'];

/** True when a principal's grants name the tool: exactly, or with `*` for any characters; all tools without grants. */
export function mayUse({ tools }: Pick<Principal, 'tools'>, name: string): boolean {
  return tools === undefined || tools.some((grant) => matches(grant.split('*'), name));
}

/** True when a principal may call the tool: one that its grants name, or one by which it follows its own runs. */
export const mayCall = (principal: Pick<Principal, 'tools'>, name: string): boolean =>
  mayUse(principal, name) || ((principal.tools?.length ?? 0) > 0 && forOwnRuns.includes(name));

function matches([first = '', ...rest]: string[], name: string): boolean {
  if (!name.startsWith(first)) return false;
  let at = first.length;
  for (const [index, part] of rest.entries()) {
    const isLast = index === rest.length - 1;
    const found = isLast && part !== '' ? name.lastIndexOf(part) : name.indexOf(part, at);
    if (found < at || (isLast && part !== '' && found + part.length !== name.length)) return false;
    at = found + part.length;
  }
  return rest.length > 0 || at === name.length;
}

/** @throws WeaverError `not_allowed` when the principal lacks the scope that `what` needs. */
export function requireScope({ id, scopes }: Principal, scope: Scope, what: string): void {
  if (scopes.includes(scope)) return;
  throw new WeaverError('not_allowed', `${what} needs the scope "${scope}", which ${id} lacks.`, {
    hint: 'Ask the person who runs ToolWeaver for a role that has it.',
  });
}
