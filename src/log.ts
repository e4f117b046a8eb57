import { pino, stdSerializers } from 'pino';

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/** Writes one JSON line for a thing worth knowing: first its facts, then a sentence. */
export interface Log {
  debug(facts: object, message: string): void;
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

/** Trouble that begins and ends: each is said once, however often it is met. */
export interface Trouble {
  begins(error: unknown): void;
  ends(): void;
}

export function sayOnce(say: { begins(error: unknown): void; ends(): void }): Trouble {
  let isThere = false;
  return {
    begins(error) {
      if (!isThere) say.begins(error);
      isThere = true;
    },
    ends() {
      if (isThere) say.ends();
      isThere = false;
    },
  };
}

const secretKey =
  /^key$|(?:authorization|cookie|password|passphrase|secret|token|credentials?|(?:api|private|signing)key)$/i;
const maxDepth = 8;

/** A log of JSON lines on stderr. Values under keys that may hold secrets are replaced by `[redacted]`, however deep. */
export function createLog(level: LogLevel, destination: { write(line: string): void } = stderr): Log {
  return pino(
    {
      level,
      base: { pid: process.pid },
      formatters: { log: (facts) => printable(facts, 0) as Record<string, unknown> },
    },
    destination,
  );
}

// Errors with their causes, and no secrets.
function printable(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (depth > maxDepth) return '[too deep]';
  if (value instanceof Error) return printable(stdSerializers.errWithCause(value), depth + 1);
  if (Array.isArray(value)) return value.map((one) => printable(one, depth + 1));
  if ('toJSON' in value) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [key, isSecret(key) ? '[redacted]' : printable(one, depth + 1)]),
  );
}

const isSecret = (key: string): boolean => secretKey.test(key.replaceAll(/[-_]/g, ''));

/** A log that keeps nothing. */
export const silentLog: Log = Object.freeze({ debug() {}, info() {}, warn() {}, error() {} });

// Synchronous, so that the last line before an exit is not lost; stdout belongs to the protocol.
const stderr = { write: (line: string): void => void process.stderr.write(line) };
