/** How the processes on one database tell each other that something changed. What is lost costs nothing but time. */
export interface Bus {
  /** Tells the others. Not waited for. */
  announce(): void;
  /**
   * Calls `heard` when another one tells, and whenever that may have been missed. Whoever reaches the bus can say so: it is
   * a reason to look and proves nothing.
   */
  onNews(heard: () => void): void;
}
