import { setTimeout as sleep } from "node:timers/promises";
import { WarrenError } from "@warren/contracts";
import type { Ledger, Settled, Settlement } from "@warren/ledger";
import { type Logger } from "@warren/observability";
import { failure } from "./failure.ts";

/** Tells the ledger what became of attempts, until it knows. */
export interface Settler {
  /**
   * Resolves when the ledger has answered. While Postgres is away the outcome stays in memory and is sent again, which is safe: settling
   * is idempotent by fence. `abandoned`: the worker was let go first; the ledger will count a stall.
   */
  settle(settlement: Settlement): Promise<Settled | "abandoned">;
  /** Settlements without an answer yet. */
  readonly pending: number;
  /** Gives up on what is pending. */
  dispose(): void;
}

const firstPauseMs = 50;
const longestPauseMs = 2_000;

export interface SettlerOptions {
  readonly ledger: Pick<Ledger, "settle">;
  readonly log: Logger;
  readonly random: () => number;
  /** One fewer is pending. */
  readonly onSettled: () => void;
}

export function createSettler({ ledger, log, random, onSettled }: SettlerOptions): Settler {
  let pending = 0;
  const given = new AbortController();

  async function settle(settlement: Settlement): Promise<Settled | "abandoned"> {
    pending += 1;
    try {
      return await untilKnown(settlement);
    } finally {
      pending -= 1;
      onSettled();
    }
  }

  async function untilKnown(settlement: Settlement): Promise<Settled | "abandoned"> {
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(longestPauseMs, pauseMs * 2)) {
      try {
        return await ledger.settle(settlement);
      } catch (error) {
        if (error instanceof WarrenError && !error.retryable && settlement.outcome.kind !== "dead") {
          log.error({ jobId: settlement.id, err: error }, "outcome refused by the ledger; the job is dead");
          return untilKnown(unstorable(settlement, error));
        }
        log.warn({ jobId: settlement.id, err: error }, "outcome not settled yet");
      }
      if (!(await pause(pauseMs * (0.5 + random()), given.signal))) return "abandoned";
    }
  }

  return {
    settle,
    get pending() {
      return pending;
    },
    dispose: () => given.abort(),
  };
}

/** An outcome that Postgres cannot store, whatever it is, must not keep the job running for ever. */
function unstorable(settlement: Settlement, error: WarrenError): Settlement {
  const reason = settlement.outcome.kind === "succeeded" ? "JOB_RESULT_UNSERIALISABLE" : error.code;
  return { ...settlement, outcome: { kind: "dead", reason, error: failure(reason, error.message) } };
}

/** Answers whether the pause ended by itself. */
async function pause(delayMs: number, signal: AbortSignal): Promise<boolean> {
  try {
    await sleep(delayMs, undefined, { signal });
    return true;
  } catch {
    return false;
  }
}
