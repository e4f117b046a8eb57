// A loader for `node --import`. The conformance suites import `globSync` from `fs`, which Node 20 lacks, for a command
// that is not used here; without the name they do not even load.
import { register } from 'node:module';

const hooks = `
export async function resolve(specifier, context, next) {
  const isTheirs = context.parentURL?.includes('/node_modules/conformance-');
  if (isTheirs && (specifier === 'fs' || specifier === 'node:fs')) return { url: 'with-glob:fs', shortCircuit: true };
  return next(specifier, context);
}
export async function load(url, context, next) {
  if (url !== 'with-glob:fs') return next(url, context);
  const source = \`
    import fs from 'node:fs';
    export * from 'node:fs';
    export const globSync = fs.globSync ?? (() => []);
    export default fs;\`;
  return { format: 'module', shortCircuit: true, source };
}`;

register(`data:text/javascript,${encodeURIComponent(hooks)}`);
