import { readFileSync } from 'node:fs';
import { onTestFinished } from 'vitest';
import { openPython } from '../../src/sandbox/python.ts';
import type { JobResult, Sandbox } from '../../src/sandbox/sandbox.ts';
import { python } from '../helpers/python.ts';
import { type JobFields, jobOf } from './jobs.ts';

/** A real program of test/fixtures/skills-python. */
const fixture = (name: string): string =>
  readFileSync(new URL(`../fixtures/skills-python/${name}.py`, import.meta.url), 'utf8');

export function openEngine(): Sandbox {
  if (typeof python === 'string') throw new Error(python);
  return openPython(python);
}

/** A sandbox that is closed when the test ends. */
export function openSandbox(): Sandbox {
  const sandbox = openEngine();
  onTestFinished(() => sandbox.close());
  return sandbox;
}

export const runIn = (sandbox: Sandbox, name: string, fields: JobFields = {}): Promise<JobResult> =>
  sandbox.run(jobOf(name, { ...fields, text: fields.text ?? fixture(name) }));
