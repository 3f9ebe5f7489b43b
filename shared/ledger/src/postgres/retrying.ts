import { setTimeout as sleep } from "node:timers/promises";
import { LedgerConflictError, LedgerUnavailableError } from "../errors.ts";

export interface RetryRule {
  readonly retries: number;
  /** Before the first retry; doubles. */
  readonly delayMs: number;
}

export type Again = <T>(call: () => Promise<T>) => Promise<T>;

/**
 * Two kinds of patience. `undone` repeats only after conflicts, where Postgres has rolled everything back. `repeatable` is for
 * calls that do no harm when repeated, and so also rides out a lost connection whose last answer is unknown.
 */
export function retrying(rule: RetryRule): { readonly undone: Again; readonly repeatable: Again } {
  const again =
    (isWorthIt: (error: unknown) => boolean): Again =>
    async (call) => {
      for (let retry = 0; ; retry += 1) {
        try {
          return await call();
        } catch (error) {
          if (retry >= rule.retries || !isWorthIt(error)) throw error;
          await sleep(rule.delayMs * 2 ** retry);
        }
      }
    };
  return {
    undone: again((error) => error instanceof LedgerConflictError),
    repeatable: again((error) => error instanceof LedgerConflictError || error instanceof LedgerUnavailableError),
  };
}
