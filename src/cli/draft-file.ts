import { readFile, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { parse as parseYaml } from 'yaml';
import { WeaverError } from '../errors.ts';
import { isRecord } from '../json.ts';

const sources = [
  ['skill.ts', 'typescript'],
  ['skill.js', 'javascript'],
  ['skill.py', 'python'],
] as const;

/**
 * The input of save_skill from a folder, or from the SKILL.md in it (skill.json, skill.ts, skill.js or skill.py, and SKILL.md for
 * name and description where skill.json has none), or from one JSON or YAML file, whose `code_file` may name the source.
 * @throws WeaverError `bad_input` that names the file.
 */
export async function readDraft(path: string): Promise<Record<string, unknown>> {
  const place = resolve(path);
  const found = await stat(place).catch((cause: unknown) => {
    throw unreadable(place, cause);
  });
  if (found.isDirectory()) return readFolder(place);
  return basename(place) === 'SKILL.md' ? readFolder(dirname(place)) : readSingle(place);
}

async function readFolder(folder: string): Promise<Record<string, unknown>> {
  const fields = await readSingle(join(folder, 'skill.json'));
  const front = await readFrontmatter(join(folder, 'SKILL.md'));
  const named = { name: basename(folder).replaceAll('-', '_'), ...front, ...fields };
  if ('code' in named) return named;
  for (const [file, language] of sources) {
    const code = await readIfThere(join(folder, file));
    if (code !== undefined) return { ...named, language, code };
  }
  throw new WeaverError('bad_input', `${folder} holds no skill.ts, skill.js or skill.py.`, {
    hint: 'Put the source there.',
  });
}

async function readSingle(file: string): Promise<Record<string, unknown>> {
  const text = await readIfThere(file);
  if (text === undefined) throw unreadable(file, new Error('there is no such file'));
  const { code_file, ...fields } = parseFile(file, text);
  if (typeof code_file !== 'string') return fields;
  const source = resolve(dirname(file), code_file);
  const code = await readIfThere(source);
  if (code === undefined) throw unreadable(source, new Error('there is no such file'));
  return { language: languageOf(source), ...fields, code };
}

const languageOf = (file: string): string =>
  sources.find(([name]) => file.endsWith(name.slice(name.indexOf('.'))))?.[1] ?? 'javascript';

function parseFile(file: string, text: string): Record<string, unknown> {
  try {
    // JSON is YAML, so one parser reads both.
    const value: unknown = parseYaml(text, { maxAliasCount: 10 });
    if (isRecord(value)) return value;
  } catch (cause) {
    throw unreadable(file, cause);
  }
  throw unreadable(file, new Error('it holds no object'));
}

async function readFrontmatter(file: string): Promise<Record<string, unknown>> {
  const text = await readIfThere(file);
  const front = text === undefined ? undefined : /^---\r?\n([\s\S]*?)\r?\n---/.exec(text)?.[1];
  if (front === undefined) return {};
  const { name, description } = parseFile(file, front);
  return {
    ...(typeof name === 'string' && { name: name.replaceAll('-', '_') }),
    ...(typeof description === 'string' && { description }),
  };
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw unreadable(file, error);
  }
}

const unreadable = (file: string, cause: unknown): WeaverError =>
  new WeaverError('bad_input', `${file} cannot be used: ${(cause as Error).message.split('\n')[0]}.`, {
    hint: 'toolweaver save takes a folder with skill.json and skill.ts, skill.js or skill.py, or one JSON or YAML file.',
    cause,
  });
