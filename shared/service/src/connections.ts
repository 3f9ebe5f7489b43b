import { setTimeout as delay } from "node:timers/promises";
import { WarrenError } from "@warren/contracts";
import type { Ledger } from "@warren/ledger";
import type { Logger } from "@warren/observability";

const firstWaitMs = 200;
const longestWaitMs = 2_000;
const reminderMs = 10_000;

/**
 * Waits until the database answers with a schema that this binary knows. A database that is away is waited for, with a warning now
 * and every 10 s; a wrong schema is not: no waiting cures it.
 * @throws LedgerError LEDGER_SCHEMA_NEWER, LEDGER_SCHEMA_BEHIND, …; the signal's reason when it fires
 */
export async function waitForSchema(
  ledger: Pick<Ledger, "checkSchema">,
  log: Logger,
  signal: AbortSignal,
  onProblem: (problem: string) => void,
): Promise<void> {
  const startedAt = performance.now();
  let waitMs = firstWaitMs;
  let remindedAt = Number.NEGATIVE_INFINITY;
  for (;;) {
    signal.throwIfAborted();
    try {
      await ledger.checkSchema();
      return;
    } catch (error) {
      if (!(error instanceof WarrenError) || !error.retryable) throw error;
      onProblem(error.message);
      const now = performance.now();
      if (now - remindedAt >= reminderMs) {
        remindedAt = now;
        log.warn(
          { err: error, waitedMs: Math.round(now - startedAt) },
          "the database does not answer yet, waiting for it",
        );
      }
    }
    await delay(waitMs, undefined, { signal });
    waitMs = Math.min(waitMs * 2, longestWaitMs);
  }
}
