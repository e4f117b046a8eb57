import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { packageRoot } from '../src/package.ts';

const src = join(packageRoot, 'src');

/** The steps of docs/architecture.md: a file imports its own folder and lower steps, never up, never sideways. */
const steps: Record<string, number> = {
  cli: 10,
  'app.ts': 9,
  server: 8,
  web: 8,
  http: 7,
  tools: 7,
  skills: 6,
  workflows: 6,
  search: 6,
  insights: 6,
  registry: 6,
  remote: 6,
  library: 5,
  catalog: 4,
  recordings: 4,
  access: 3,
  secrets: 3,
  code: 3,
  sandbox: 3,
  approval: 3,
  runs: 3,
  audit: 2,
  analytics: 2,
  'config.ts': 1,
  store: 1,
  net: 1,
  text: 1,
  'errors.ts': 0,
  'log.ts': 0,
  'optional.ts': 0,
  'gcm.ts': 0,
  'json.ts': 0,
  'contracts.ts': 0,
  'package.ts': 0,
  'redis-address.ts': 0,
};

interface Import {
  from: string;
  to: string;
}

const place = (file: string): string => file.split('/')[0] ?? file;

function brokenSteps(imports: readonly Import[]): string[] {
  return imports.flatMap(({ from, to }) => {
    const [a, b] = [place(from), place(to)];
    const [stepA, stepB] = [steps[a], steps[b]];
    if (stepA === undefined) return [`${from}: ${a} is on no step`];
    if (stepB === undefined) return [`${from}: ${b} is on no step`];
    if (a === b || stepB < stepA) return [];
    if (stepA === 0 && stepB === 0) return [];
    return [`${from} (${stepA}) imports ${to} (${stepB})`];
  });
}

function findCycle(imports: readonly Import[]): string[] | undefined {
  const edges = new Map<string, string[]>();
  for (const { from, to } of imports) edges.set(from, [...(edges.get(from) ?? []), to]);
  const done = new Set<string>();
  const visit = (file: string, path: string[]): string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return undefined;
    for (const next of edges.get(file) ?? []) {
      const cycle = visit(next, [...path, file]);
      if (cycle) return cycle;
    }
    done.add(file);
    return undefined;
  };
  return [...edges.keys()].map((file) => visit(file, [])).find((cycle) => cycle !== undefined);
}

function envReaders(files: readonly { file: string; text: string }[]): string[] {
  return files.filter(({ text }) => /process\.env\b/.test(text)).map(({ file }) => file);
}

const barrels = (files: readonly { file: string; text: string }[]): string[] =>
  files.filter(({ text }) => /^export (\*|\{[^}]*\}) from/m.test(text)).map(({ file }) => file);

const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => ({ file, text: readFileSync(join(src, file), 'utf8') }));

const imports = files.flatMap(({ file, text }) =>
  [...text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].map(([, target]) => ({
    from: file,
    to: relative(src, resolve(src, dirname(file), target ?? '')),
  })),
);

// Types alone make no cycle at run time.
const runtimeImports = files.flatMap(({ file, text }) =>
  [...text.matchAll(/^(?:import|export)\s+(?!type\b)[^;]*?from\s+'(\.[^']+)'/gm)].map(([, target]) => ({
    from: file,
    to: relative(src, resolve(src, dirname(file), target ?? '')),
  })),
);

describe('the architecture', () => {
  it('has files to judge', () => {
    expect(files.length).toBeGreaterThan(50);
    expect(imports.length).toBeGreaterThan(150);
  });

  it('imports only downwards, by the table of steps', () => {
    expect(brokenSteps(imports)).toEqual([]);
  });

  it('would notice an import upwards, sideways, or of an unknown place', () => {
    expect(brokenSteps([{ from: 'store/database.ts', to: 'catalog/call.ts' }])).toHaveLength(1);
    expect(brokenSteps([{ from: 'skills/run.ts', to: 'search/search.ts' }])).toHaveLength(1);
    expect(brokenSteps([{ from: 'misc/x.ts', to: 'json.ts' }])).toHaveLength(1);
    expect(brokenSteps([{ from: 'cli/main.ts', to: 'app.ts' }])).toEqual([]);
  });

  it('has no import cycles', () => {
    expect(findCycle(runtimeImports)).toBeUndefined();
  });

  it('would notice a cycle', () => {
    const cycle = [
      { from: 'a.ts', to: 'b.ts' },
      { from: 'b.ts', to: 'c.ts' },
      { from: 'c.ts', to: 'a.ts' },
    ];
    expect(findCycle(cycle)).toEqual(['a.ts', 'b.ts', 'c.ts', 'a.ts']);
  });

  it('reads the environment only in the command entry', () => {
    expect(envReaders(files)).toEqual(['cli/main.ts']);
  });

  it('would notice another reader of the environment', () => {
    expect(envReaders([{ file: 'x.ts', text: 'const a = process.env.HOME;' }])).toEqual(['x.ts']);
  });

  it('has no barrels', () => {
    expect(barrels(files)).toEqual([]);
    expect(barrels([{ file: 'x.ts', text: "export * from './y.ts';" }])).toEqual(['x.ts']);
  });

  it('lists in docs/architecture.md every folder with its step', () => {
    const page = readFileSync(join(packageRoot, 'docs/architecture.md'), 'utf8');
    const folders = [...new Set(files.map(({ file }) => place(file)))];
    const missing = folders.filter((folder) => !page.includes(`| ${steps[folder]} | \`${folder}`));
    expect(missing).toEqual([]);
  });
});
