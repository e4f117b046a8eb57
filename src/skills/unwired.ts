import type { Finding } from '../contracts.ts';
import type { Inspected } from '../library/kind.ts';
import { isNoReach } from '../library/reach.ts';

/** Refuses what a draft declares to reach beside tools, for as long as the host hands code no fetch and no files. */
export function refuseUnwired({ manifest, ...inspected }: Inspected): Inspected {
  if (isNoReach(inspected.reach)) return { ...inspected, ...(manifest && { manifest }) };
  return { ...inspected, findings: [...inspected.findings, notYet] };
}

const notYet: Finding = {
  rule: 'not_yet',
  severity: 'error',
  where: 'capabilities',
  message: 'capabilities: this ToolWeaver does not hand code ctx.fetch, secrets or ctx.files yet',
  remedy: 'Take the data as input, or call a tool that gets it: ctx.tools.<name>(input).',
};
