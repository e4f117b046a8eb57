import * as z from 'zod';
import { WeaverError } from '../errors.ts';
import type { Fetch } from './fetch.ts';
import type { Workspace } from './workspace.ts';

/** What code reaches in one run beside tools; what is absent was not granted. */
export interface Reached {
  fetch?: Pick<Fetch, 'send'> | undefined;
  files?: { space: Workspace; canWrite: boolean } | undefined;
}

/**
 * Answers the host functions of `ctx` (`ctx.fetch`, `ctx.files.read`, …), which no tool can be named like. What crosses is
 * JSON. Errors: `not_allowed` for what was not granted, `bad_input`, and those of Fetch and Workspace.
 */
export interface Bridge {
  has(name: string): boolean;
  call(name: string, input: unknown, signal: AbortSignal): Promise<unknown>;
}

const path = z.string();
const range = { offset: z.int().min(0).optional(), length: z.int().min(0).optional() };
const data = { text: z.string().optional(), base64: z.base64().optional() };
const shapes = {
  read: z.strictObject({ path, ...range, as: z.literal('base64').optional() }),
  write: z.strictObject({ path, ...data }),
  list: z.strictObject({ folder: z.string().optional() }),
  remove: z.strictObject({ path }),
  fetch: z.strictObject({ url: z.unknown(), init: z.unknown() }),
};

type Answer = (input: unknown, signal: AbortSignal) => Promise<unknown>;

export function createBridge({ fetch, files }: Reached): Bridge {
  const reading = (): Workspace => files?.space ?? refuse('ctx.files', 'files: "read"');
  const writing = (): Workspace => (files?.canWrite ? files.space : refuse('ctx.files to write', 'files: "write"'));
  const answers: Readonly<Record<string, Answer>> = {
    async 'ctx.fetch'(input, signal) {
      const { url, init } = read('ctx.fetch', shapes.fetch, input);
      return (fetch ?? refuse('ctx.fetch', 'net: ["api.example.com"]')).send(url, init, signal);
    },
    async 'ctx.files.read'(input) {
      const { path: file, as, ...part } = read('ctx.files.read', shapes.read, input);
      const bytes = await reading().read(file, part);
      return as === 'base64' ? { base64: bytes.toString('base64') } : { text: textOf(file, bytes) };
    },
    async 'ctx.files.write'(input) {
      const { path: file, ...given } = read('ctx.files.write', shapes.write, input);
      await writing().write(file, bytesOf(given));
    },
    async 'ctx.files.append'(input) {
      const { path: file, ...given } = read('ctx.files.append', shapes.write, input);
      await writing().append(file, bytesOf(given));
    },
    async 'ctx.files.list'(input) {
      const { folder } = read('ctx.files.list', shapes.list, input);
      return { files: await reading().list(folder) };
    },
    async 'ctx.files.remove'(input) {
      const { path: file } = read('ctx.files.remove', shapes.remove, input);
      return { removed: await writing().remove(file) };
    },
  };
  return {
    has: (name) => Object.hasOwn(answers, name),
    call: async (name, input, signal) => answers[name]?.(input, signal),
  };
}

function refuse(what: string, declared: string): never {
  throw new WeaverError('not_allowed', `The code was not granted ${what}.`, {
    hint: `Declare it and save again: capabilities: { ${declared} }.`,
  });
}

function read<T extends z.ZodType>(name: string, shape: T, input: unknown): z.output<T> {
  const parsed = shape.safeParse(input);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const where = issue?.path.join('.');
  throw new WeaverError(
    'bad_input',
    `${name}: ${where ? `${where}: ` : ''}${issue?.message ?? 'the input does not fit'}.`,
    {
      hint: 'docs/writing-skills.md says what it takes.',
    },
  );
}

function textOf(file: string, bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new WeaverError('bad_input', `${file} is no text in UTF-8.`, { hint: 'Use ctx.files.readBytes(path).' });
  }
}

function bytesOf({ text, base64 }: { text?: string | undefined; base64?: string | undefined }): Buffer {
  if (base64 !== undefined) return Buffer.from(base64, 'base64');
  if (text !== undefined) return Buffer.from(text);
  throw new WeaverError('bad_input', 'There is nothing to write.', { hint: 'Give a text or bytes.' });
}
