// Bundles src/ into dist/. Native and WebAssembly parts stay files beside the bundle.
import { chmod, copyFile, rm } from 'node:fs/promises';
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

await rm(new URL('../dist', import.meta.url), { recursive: true, force: true });
await Promise.all([
  build({
    ...common,
    banner,
    entryPoints: { 'cli/main': 'src/cli/main.ts' },
    outdir: 'dist',
    splitting: true,
    chunkNames: 'chunks/[name]-[hash]',
    external: ['better-sqlite3', 'esbuild', 'vega-datasets', '@modelcontextprotocol/client'],
  }),
  // The sandbox's programs run confined to dist/sandbox, so each is one file without imports of its own.
  build({
    ...common,
    banner,
    entryPoints: { 'sandbox/child': 'src/sandbox/child.ts', 'sandbox/thread': 'src/sandbox/thread.ts' },
    outdir: 'dist',
  }),
]);
await copyFile(require.resolve('quickjs-wasi/quickjs.wasm'), new URL('../dist/sandbox/quickjs.wasm', import.meta.url));
await chmod(new URL('../dist/cli/main.js', import.meta.url), 0o755);
