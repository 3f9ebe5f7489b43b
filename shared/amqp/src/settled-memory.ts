import type { Verdict } from "./ack-frontier.ts";

interface Remembered {
  readonly verdict: Verdict;
  readonly atMs: number;
}

/**
 * What became of messages whose settlement may not have reached the broker, by message id. Bounded in number and in age; what falls
 * out is merely run again, and the ledger's claim refuses it then.
 */
export class SettledMemory {
  readonly #limit: number;
  readonly #maxAgeMs: number;
  readonly #nowMs: () => number;
  readonly #verdicts = new Map<string, Remembered>();

  constructor(options: { readonly limit: number; readonly maxAgeMs: number; readonly nowMs: () => number }) {
    this.#limit = options.limit;
    this.#maxAgeMs = options.maxAgeMs;
    this.#nowMs = options.nowMs;
  }

  get size(): number {
    return this.#verdicts.size;
  }

  remember(messageId: string, verdict: Verdict): void {
    this.#verdicts.delete(messageId);
    this.#verdicts.set(messageId, { verdict, atMs: this.#nowMs() });
    if (this.#verdicts.size <= this.#limit) return;
    const oldest = this.#verdicts.keys().next();
    if (oldest.done !== true) this.#verdicts.delete(oldest.value);
  }

  /** The verdict, once: it is forgotten with the answer. */
  take(messageId: string): Verdict | undefined {
    const remembered = this.#verdicts.get(messageId);
    if (remembered === undefined) return undefined;
    this.#verdicts.delete(messageId);
    return this.#nowMs() - remembered.atMs > this.#maxAgeMs ? undefined : remembered.verdict;
  }
}
