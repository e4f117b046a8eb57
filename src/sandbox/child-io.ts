import { type FromChild, fromLine } from './protocol.ts';

/** Hears a line. One that is no message, or that nobody can make sense of, shows that who said it is not itself any more. */
export function takeLine(line: string, hear: (message: FromChild) => void, giveUp: () => void): void {
  try {
    hear(fromLine(line));
  } catch {
    giveUp();
  }
}

/** Whether a process and its streams keep the event loop alive. */
export function setRef(parts: readonly unknown[], isHeld: boolean): void {
  for (const part of parts as { ref?(): void; unref?(): void }[]) {
    if (isHeld) part.ref?.();
    else part.unref?.();
  }
}
