export type Verdict = "ack" | "reject" | "requeue";

/** A delivery as the frontier sees it; the frontier alone sets `sent`. */
export interface Settleable {
  readonly verdict: Verdict | undefined;
  sent: boolean;
}

export interface SettlePlan<T> {
  /** Settled otherwise than by ack: one frame each, before the acks. */
  readonly others: readonly T[];
  /** The last of the unbroken run of settled deliveries: one ack with `multiple` covers it and all before. */
  readonly upTo: T | undefined;
  /** Acked beyond a delivery that is still open: one frame each, for a slow one must not use up the prefetch window. */
  readonly singles: readonly T[];
}

/**
 * Turns the settlements of an event-loop turn into the fewest frames. Holds the deliveries of one channel in the order of their
 * tags. Invariants: an open delivery is never covered, each settled one is sent once, and `upTo` is itself not yet sent (the
 * broker refuses a tag that it no longer knows).
 */
export class AckFrontier<T extends Settleable> {
  #window: T[] = [];
  #head = 0;

  deliver(entry: T): void {
    this.#window.push(entry);
  }

  plan(settled: readonly T[]): SettlePlan<T> {
    const others: T[] = [];
    for (const entry of settled) {
      if (entry.verdict === "ack") continue;
      entry.sent = true;
      others.push(entry);
    }
    let upTo: T | undefined;
    for (let entry = this.#window[this.#head]; entry?.verdict !== undefined; entry = this.#window[this.#head]) {
      if (!entry.sent) {
        entry.sent = true;
        upTo = entry;
      }
      this.#head++;
    }
    const singles: T[] = [];
    for (const entry of settled) {
      if (entry.sent) continue;
      entry.sent = true;
      singles.push(entry);
    }
    this.#compact();
    return { others, upTo, singles };
  }

  /** Deliveries that are still open, in order. */
  open(): readonly T[] {
    return this.#window.slice(this.#head).filter((entry) => entry.verdict === undefined);
  }

  #compact(): void {
    if (this.#head === this.#window.length) this.#window = [];
    else if (this.#head > 512 && this.#head * 2 > this.#window.length) this.#window = this.#window.slice(this.#head);
    else return;
    this.#head = 0;
  }
}
