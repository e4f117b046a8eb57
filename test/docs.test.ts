import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { createProgram } from '../src/cli/program.ts';
import { metaOf, settingNames, settings } from '../src/config.ts';
import { errorCodes } from '../src/errors.ts';
import { packageRoot } from '../src/package.ts';
import { defaultLimits } from '../src/sandbox/sandbox.ts';
import { listedBuiltins } from '../src/tools/index.ts';
import { testApp } from './helpers/app.ts';

const read = (file: string): string => readFileSync(join(packageRoot, file), 'utf8');

/** First cells of the rows of the table under a heading, without their backquotes. */
function rowsUnder(file: string, heading: string): string[][] {
  const section =
    read(file)
      .split(`\n${heading}\n`)[1]
      ?.split(/\n#{1,3} /)[0] ?? '';
  return section
    .split('\n')
    .filter((line) => line.startsWith('|') && !/^\|[\s|:-]+\|$/.test(line))
    .slice(1)
    .map((line) =>
      line
        .slice(1, -1)
        .split(' | ')
        .map((cell) => cell.trim().replaceAll('`', '')),
    );
}

const _column = (rows: string[][], index: number): string[] => rows.map((row) => row[index] ?? '');

describe('the documentation', () => {
  it('lists every error code with its meaning', () => {
    const rows = rowsUnder('docs/errors.md', '## Codes');
    expect(rows.map(([code, meaning]) => [code, meaning])).toEqual(Object.entries(errorCodes));
  });

  it('lists every setting with its environment variable and meaning', () => {
    const rows = rowsUnder('docs/configuration.md', '## Settings');
    const expected = settingNames.map((name) => [name, metaOf(name).env, settings.shape[name].description ?? '']);
    expect(rows.map(([name, env, , meaning]) => [name, env, meaning?.replaceAll('\\|', '|')])).toEqual(
      expected.map(([name, env, meaning]) => [name, env, meaning?.replaceAll('`', '')]),
    );
  });

  it('lists every command', () => {
    const leaves = (command: Command): Command[] =>
      command.commands.length === 0 ? [command] : command.commands.flatMap(leaves);
    const path = (command: Command): string =>
      command.parent?.parent ? `${path(command.parent)} ${command.name()}` : command.name();
    const commands = leaves(createProgram({})).map((command) => [path(command), command.description()]);
    const rows = rowsUnder('docs/configuration.md', '## Commands');
    expect(rows.map(([name, does]) => [name?.replace('toolweaver ', ''), does])).toEqual(commands);
  });

  it('shows an example in the help of every command and takes --json everywhere', () => {
    const leaves = (command: Command): Command[] =>
      command.commands.length === 0 ? [command] : command.commands.flatMap(leaves);
    for (const command of leaves(createProgram({}))) {
      let help = '';
      command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
      expect(help, command.name()).toContain('Example:');
      expect(help, command.name()).toContain('--json');
    }
  });

  it('lists every built-in tool, and which are always listed', async () => {
    const { catalog } = await testApp();
    const builtins = catalog.list('local').filter((tool) => tool.kind === 'builtin');
    const rows = rowsUnder('docs/writing-skills.md', '## Built-in tools');
    expect(rows.map(([name, title, listed]) => [name, title, listed])).toEqual(
      builtins.map((tool) => [tool.name, tool.title, listedBuiltins.includes(tool.name) ? 'yes' : 'by search']),
    );
  });

  it('gives the limits of the sandbox as they are', () => {
    const rows = rowsUnder('docs/sandbox.md', '## Limits');
    const documented = Object.fromEntries(rows.map(([name, value]) => [name, Number(value?.replaceAll(',', ''))]));
    expect(documented).toMatchObject(defaultLimits);
  });

  it('links only to files that are there', () => {
    for (const file of ['README.md', ...readdirSync(join(packageRoot, 'docs')).map((name) => `docs/${name}`)]) {
      if (!file.endsWith('.md')) continue;
      for (const [, target] of read(file).matchAll(/\]\((?!https?:)([^)#]+)/g)) {
        expect(() => readFileSync(join(packageRoot, file, '..', target ?? '')), `${file} → ${target}`).not.toThrow();
      }
    }
  });

  it('names in package.json only scripts that the README explains', () => {
    const { scripts } = JSON.parse(read('package.json'));
    const readme = read('README.md');
    for (const name of ['demo', 'test', 'check', 'bench']) {
      expect(scripts[name], name).toBeTruthy();
      expect(readme, name).toContain(name === 'test' ? 'npm test' : `npm run ${name}`);
    }
  });

  it('has in mcp.json.example a configuration that starts the server', () => {
    const { mcpServers } = JSON.parse(read('mcp.json.example'));
    expect(mcpServers.toolweaver).toMatchObject({ type: 'stdio', args: expect.arrayContaining(['serve']) });
  });
});
