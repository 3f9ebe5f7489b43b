import type { JobAbortedError } from "../errors.ts";
import type { Attempt } from "../job.ts";
import type { Outcome } from "./verdict.ts";

/** An attempt from its claim until the ledger knows its outcome. */
export interface Open {
  readonly attempt: Attempt;
  /** Ends it with this outcome although its handler still runs; nothing if the handler has ended. */
  readonly giveUp: (outcome: Outcome) => void;
  /** Its handler was not called yet, so that nobody would notice an aborted signal. */
  readonly waits?: boolean;
}

/** The open attempts of this worker. */
export class Running {
  readonly #open = new Map<Attempt, Open>();
  readonly #waiters = new Set<() => void>();

  get size(): number {
    return this.#open.size;
  }

  add(open: Open): void {
    this.#open.set(open.attempt, open);
  }

  remove(attempt: Attempt): void {
    this.#open.delete(attempt);
    if (this.#open.size > 0) return;
    for (const wake of this.#waiters) wake();
    this.#waiters.clear();
  }

  /** Looks through all of them: asked only after a lost claim. */
  has(id: string, fence: number): boolean {
    return [...this.#open.keys()].some((attempt) => attempt.id === id && attempt.claimed.attempt === fence);
  }

  /** Aborts the signals of those that `which` picks; answers how many. */
  abort(reason: JobAbortedError, which: (attempt: Attempt) => boolean = () => true): number {
    const picked = [...this.#open.values()].filter(({ attempt }) => which(attempt));
    for (const { attempt } of picked) attempt.abort(reason);
    return picked.length;
  }

  /** Aborts one attempt; one that has not begun ends at once. Answers whether it is here. */
  abortOne(id: string, fence: number, reason: JobAbortedError): boolean {
    for (const { attempt, giveUp, waits } of this.#open.values()) {
      if (attempt.id !== id || attempt.claimed.attempt !== fence) continue;
      if (attempt.aborted !== undefined) return true;
      attempt.abort(reason);
      if (waits === true) giveUp({ kind: "threw", error: reason });
      return true;
    }
    return false;
  }

  giveUpAll(outcome: Outcome): void {
    for (const open of this.#open.values()) open.giveUp(outcome);
  }

  /** Resolves when none is open, or the deadline aborts; answers whether none is. */
  async idle(deadline: AbortSignal): Promise<boolean> {
    if (this.#open.size === 0 || deadline.aborted) return this.#open.size === 0;
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = (): void => resolve();
    this.#waiters.add(wake);
    deadline.addEventListener("abort", wake, { once: true });
    await promise;
    this.#waiters.delete(wake);
    deadline.removeEventListener("abort", wake);
    return this.#open.size === 0;
  }
}
