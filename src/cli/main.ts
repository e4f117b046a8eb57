#!/usr/bin/env node
import { CommanderError } from 'commander';
import { printError } from './output.ts';
import { createProgram } from './program.ts';

const wrongUsage = 2;

// A reader that has seen enough, such as `head`, or a host that reads no log, is no reason to fall over.
process.stdout.on('error', ignoreClosed);
process.stderr.on('error', ignoreClosed);

try {
  await createProgram(process.env).parseAsync(process.argv);
} catch (error) {
  // Commander has printed help or what is wrong.
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : wrongUsage;
  else process.exitCode = printError(error, false);
}

function ignoreClosed(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error;
}
