/** Counts what is going on, and lets `drain` wait until nothing is. */
export class Idle {
  readonly #waiters = new Set<() => void>();
  #busy = 0;

  get busy(): number {
    return this.#busy;
  }

  enter(): void {
    this.#busy++;
  }

  leave(): void {
    this.#busy--;
    if (this.#busy > 0) return;
    for (const wake of this.#waiters) wake();
  }

  /** `true` once nothing is going on, `false` if the deadline comes first. */
  wait(deadline: AbortSignal): Promise<boolean> {
    if (this.#busy === 0) return Promise.resolve(true);
    if (deadline.aborted) return Promise.resolve(false);
    return new Promise((resolve) => {
      const finish = (): void => {
        this.#waiters.delete(finish);
        deadline.removeEventListener("abort", finish);
        resolve(this.#busy === 0);
      };
      this.#waiters.add(finish);
      deadline.addEventListener("abort", finish);
    });
  }
}
