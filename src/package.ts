import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder that holds this package's package.json, from the sources and from the bundle alike. */
export const packageRoot = findRoot(dirname(fileURLToPath(import.meta.url)));

/** A built file that must stand beside the bundle: programs of child processes, WebAssembly. */
export const distFile = (name: string): string => join(packageRoot, 'dist', name);

/** The version in package.json. */
export const version: string = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')).version;

function findRoot(from: string): string {
  for (let folder = from; ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'package.json'))) return folder;
    if (dirname(folder) === folder) throw new Error(`No package.json above ${from}`);
  }
}
