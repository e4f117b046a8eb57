import { WeaverError } from '../errors.ts';

const units: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds of `90s`, `30m`, `12h` or `90d`. @throws WeaverError `bad_input`. */
export function durationMs(text: string): number {
  const [, count = '', unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  const ms = Number(count) * (units[unit] ?? 0);
  if (ms > 0) return ms;
  throw new WeaverError('bad_input', `${JSON.stringify(text.slice(0, 40))} is no length of time.`, {
    hint: 'Write 90s, 30m, 12h or 90d.',
  });
}
