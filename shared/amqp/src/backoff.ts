/** Delays between attempts: exponential, half of each step by chance, so that a fleet does not come back in step. */
export class Backoff {
  readonly #firstMs: number;
  readonly #capMs: number;
  readonly #random: () => number;
  #failures = 0;

  constructor(options: { readonly firstMs: number; readonly capMs: number; readonly random: () => number }) {
    this.#firstMs = options.firstMs;
    this.#capMs = options.capMs;
    this.#random = options.random;
  }

  /** The delay after one more failure: between half of and the whole exponential step. */
  nextMs(): number {
    const step = Math.min(this.#capMs, this.#firstMs * 2 ** Math.min(this.#failures, 30));
    this.#failures++;
    return Math.round(step * (0.5 + 0.5 * this.#random()));
  }

  succeeded(): void {
    this.#failures = 0;
  }
}
