import { WeaverError } from './errors.ts';

/**
 * Loads an optional package when it is first needed.
 * @throws WeaverError `not_supported` with one clear sentence when it is not installed.
 */
export async function loadOptional<T>(name: string, what: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    throw new WeaverError(
      'not_supported',
      `${what} needs the package ${name}, which is not installed or did not load.`,
      {
        hint: `Run: npm install ${name}`,
        cause,
      },
    );
  }
}
