/**
 * Where each job is: it waits for a place, runs, or waits for the host. What waits for the host holds no place, or jobs that
 * wait for other jobs could take them all.
 */
export class Places {
  readonly #waitsForPlace = new Map<number, number>();
  readonly #runs = new Set<number>();
  readonly #waitsForHost = new Set<number>();
  readonly #atOnce: number;
  #bytes = 0;

  /** @param atOnce how many may run at once. */
  constructor(atOnce: number) {
    this.#atOnce = atOnce;
  }

  /** How many jobs wait for a place, and the size of their inputs. */
  get queue(): { jobs: number; bytes: number } {
    return { jobs: this.#waitsForPlace.size, bytes: this.#bytes };
  }

  get waitingForHost(): number {
    return this.#waitsForHost.size;
  }

  isQueued(id: number): boolean {
    return this.#waitsForPlace.has(id);
  }

  /** All that have begun. */
  begun(): number[] {
    return [...this.#runs, ...this.#waitsForHost];
  }

  enqueue(id: number, bytes: number): void {
    this.#waitsForPlace.set(id, bytes);
    this.#bytes += bytes;
  }

  /** The job that has waited longest, which from now on runs; undefined when none waits or no place is free. */
  next(): number | undefined {
    if (this.#runs.size >= this.#atOnce) return undefined;
    const id: number | undefined = this.#waitsForPlace.keys().next().value;
    if (id !== undefined) this.run(id);
    return id;
  }

  run(id: number): void {
    this.leave(id);
    this.#runs.add(id);
  }

  waitForHost(id: number): void {
    this.leave(id);
    this.#waitsForHost.add(id);
  }

  leave(id: number): void {
    this.#bytes -= this.#waitsForPlace.get(id) ?? 0;
    this.#waitsForPlace.delete(id);
    this.#runs.delete(id);
    this.#waitsForHost.delete(id);
  }
}
