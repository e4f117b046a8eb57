import { chmod, link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { WeaverError } from '../errors.ts';
import type { Database } from '../store/database.ts';
import { localPerson } from './principals.ts';
import { createToken, principalOf, revokeToken } from './tokens.ts';

type Store = Pick<Database, 'read' | 'write'>;

/**
 * The file `token` of the home with an agent's token, made at the first start; only this user may read it. A token that
 * was revoked stays revoked: a new one is made only where there is none, or one that this database does not know.
 * @throws WeaverError `not_supported` when the file cannot be kept there, and those of the database.
 */
export async function firstToken(database: Store, home: string, now: number): Promise<string> {
  const file = join(home, 'token');
  try {
    await mkdir(home, { recursive: true, mode: 0o700 });
    const known = await readText(file);
    const isKnown = known !== undefined && (await principalOf(database, known, now)) !== 'unknown';
    if (isKnown) await chmod(file, 0o600);
    else await makeToken(database, file, known === undefined, now);
    return file;
  } catch (cause) {
    if (cause instanceof WeaverError) throw cause;
    throw new WeaverError('not_supported', `The token cannot be kept in ${file}: ${(cause as Error).message}`, {
      hint: 'Let this user write to the home, or set TOOLWEAVER_HOME to another folder.',
      cause,
    });
  }
}

async function makeToken(database: Store, file: string, isFirst: boolean, now: number): Promise<void> {
  const by = localPerson();
  const request = { name: 'local', kind: 'agent' as const, roles: ['author'] };
  const { token, info } = await createToken(database, by, request, now);
  const whole = `${file}.${info.id}`;
  try {
    await writeFile(whole, `${token}\n`, { mode: 0o600, flag: 'wx' });
    // Whole from the first moment, and of one server alone where several start at once.
    await (isFirst ? link(whole, file) : rename(whole, file));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await rm(whole, { force: true });
    // Another server's stands there, or none: nobody will ever use ours.
    if ((await readText(file)) !== token) await revokeToken(database, by.tenant, info.id, now);
  }
}

async function readText(file: string): Promise<string | undefined> {
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
