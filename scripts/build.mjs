// Bundles src/ into dist/. Native and WebAssembly parts stay files beside the bundle.
import { chmod, copyFile, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);
const common = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'esm',
  logLevel: 'warning',
};
// CommonJS packages inside an ES module bundle still call require for Node's own modules.
const banner = {
  js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
};

// Built beside the old one and then put in its place, so that who starts it meanwhile finds one of the two.
const made = new URL(`../dist.${process.pid}/`, import.meta.url);
const outdir = fileURLToPath(made);
const dist = new URL('../dist/', import.meta.url);
const old = new URL(`../dist.${process.pid}.old/`, import.meta.url);
await Promise.all([
  build({
    ...common,
    banner,
    entryPoints: { 'cli/main': 'src/cli/main.ts' },
    outdir,
    splitting: true,
    chunkNames: 'chunks/[name]-[hash]',
    external: ['better-sqlite3', 'esbuild', 'vega-datasets', '@modelcontextprotocol/client'],
  }),
  // The sandbox's programs run confined to dist/sandbox, so each is one file without imports of its own.
  build({
    ...common,
    banner,
    entryPoints: { 'sandbox/child': 'src/sandbox/child.ts', 'sandbox/thread': 'src/sandbox/thread.ts' },
    outdir,
  }),
  // What Deno runs has nothing of Node.
  build({ ...common, platform: 'neutral', entryPoints: { 'sandbox/deno': 'src/sandbox/deno-runner.ts' }, outdir }),
]);
await copyFile(require.resolve('quickjs-wasi/quickjs.wasm'), new URL('sandbox/quickjs.wasm', made));
for (const program of ['sandbox/python-runner.py', 'skills/python-reader.py']) {
  await copyFile(new URL(`../src/${program}`, import.meta.url), new URL(`sandbox/${program.split('/')[1]}`, made));
}
await chmod(new URL('cli/main.js', made), 0o755);
// There is none at the first build.
await rename(dist, old).catch(() => {});
await rename(made, dist);
await rm(old, { recursive: true, force: true });
