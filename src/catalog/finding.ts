import type { Finding } from '../contracts.ts';
import { shortText } from '../text/clean.ts';

const maxReason = 500;

/** A finding that refuses; its message is the place followed by what is wrong with it. */
export const refusal = (where: string, rule: string, problem: string, remedy: string): Finding => ({
  rule,
  severity: 'error',
  where,
  message: `${where} ${problem}`,
  remedy,
});

/** A finding that only warns. */
export const warning = (where: string, rule: string, problem: string, remedy: string): Finding => ({
  ...refusal(where, rule, problem, remedy),
  severity: 'warning',
});

/** `error in code line 3: message → remedy`; a message that begins with its line is not given it twice. */
export function findingLine({ severity, where, line, message, remedy, override }: Finding): string {
  const place = line === undefined || message.startsWith(`line ${line}:`) ? where : `${where} line ${line}`;
  const kept = override === undefined ? '' : ` (kept by its author: ${shortText(override, maxReason)})`;
  return `- ${severity} in ${place}: ${message} → ${remedy}${kept}`;
}
