#!/usr/bin/env node
import { createProgram } from './program.ts';

const wrongUsage = 2;

try {
  await createProgram(process.env).parseAsync(process.argv);
} catch (error) {
  // Commander has printed help or what is wrong; what it throws is no fault of ours.
  process.exitCode = (error as { exitCode?: number }).exitCode === 0 ? 0 : wrongUsage;
}
