/** Those who wait for a state. */
export class Waiters {
  readonly #looks = new Set<() => void>();

  /** Resolves when `reached` answers true, looking now and at each `wake`. Rejects with what it throws, or the signal's reason. */
  until(reached: () => boolean, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        try {
          if (reached()) resolve();
          else if (signal?.aborted === true) reject(signal.reason);
          else return;
        } catch (error) {
          reject(error);
        }
        this.#looks.delete(look);
        signal?.removeEventListener("abort", look);
      };
      this.#looks.add(look);
      signal?.addEventListener("abort", look);
      look();
    });
  }

  wake(): void {
    for (const look of this.#looks) look();
  }
}
