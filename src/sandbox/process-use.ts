import { readFileSync } from 'node:fs';
import type { Used } from './guest-process.ts';

const ticksPerSecond = 100;
const pageBytes = 4_096;
const mb = 2 ** 20;

/** What one process has used; undefined when it is gone, or where the system does not tell. */
export function usedBy(pid: number): Used | undefined {
  const fields = read(`/proc/${pid}/stat`)?.split(') ')[1]?.split(' ');
  if (!fields) return undefined;
  // Its own time, and that of those that it has waited for.
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  return { cpuMs: (ticks * 1_000) / ticksPerSecond, memoryMb: (Number(fields[21]) * pageBytes) / mb };
}

/** What a process and all below it have used. */
export function usedBelow(pid: number): Used | undefined {
  const own = usedBy(pid);
  const children = read(`/proc/${pid}/task/${pid}/children`);
  if (!own || children === undefined) return undefined;
  return children
    .split(' ')
    .filter((text) => text !== '')
    .map((text) => usedBelow(Number(text)) ?? { cpuMs: 0, memoryMb: 0 })
    .reduce((sum, one) => ({ cpuMs: sum.cpuMs + one.cpuMs, memoryMb: sum.memoryMb + one.memoryMb }), own);
}

function read(file: string): string | undefined {
  if (process.platform !== 'linux') return undefined;
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined; // It is gone.
  }
}
