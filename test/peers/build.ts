import { build } from 'esbuild';
import { packageRoot } from '../../src/package.ts';
import { askingServer } from './foreign.ts';

/** Builds the servers that only tests start: Node 20 runs no TypeScript. */
export default async function buildTestServers(): Promise<void> {
  await build({
    absWorkingDir: packageRoot,
    entryPoints: ['test/peers/asking-server.ts'],
    outfile: askingServer,
    bundle: true,
    packages: 'external',
    platform: 'node',
    target: 'node20',
    format: 'esm',
    logLevel: 'warning',
  });
}
