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

const secretKeys = ['authorization', 'cookie', 'password', 'secret', 'token', 'apiKey', 'key'];

/** A log of JSON lines on stderr; values under keys that may hold secrets are replaced by `[redacted]`. */
export function createLog(level: LogLevel, destination: { write(line: string): void } = stderr): Log {
  return pino(
    {
      level,
      base: { pid: process.pid },
      serializers: { error: stdSerializers.errWithCause },
      redact: { paths: secretKeys.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]), censor: '[redacted]' },
    },
    destination,
  );
}

/** A log that keeps nothing. */
export const silentLog: Log = Object.freeze({ debug() {}, info() {}, warn() {}, error() {} });

// Synchronous, so that the last line before an exit is not lost; stdout belongs to the protocol.
const stderr = { write: (line: string): void => void process.stderr.write(line) };
