import { type ErrorCode, WarrenError } from "@warren/contracts";
import { providerFailure, retryAfterOf } from "../attempts/failure.ts";
import { type BackoffRule, backoffDelayMs } from "../backoff.ts";
import { Snoozed } from "../errors.ts";

/** How an attempt to handle an event ended. */
export type EventOutcome =
  | { readonly kind: "handled" }
  /** The inbox says that another delivery was handled. */
  | { readonly kind: "duplicate" }
  | { readonly kind: "threw"; readonly error: unknown }
  /** The subscriber was let go before the handler ended. */
  | { readonly kind: "stopping" };

/** What becomes of the delivery. */
export type EventVerdict =
  | { readonly kind: "ack"; readonly as: "handled" | "duplicate" }
  /** Up the ladder; comes back after `delayMs`, a rung of it, as attempt `attempt`. */
  | { readonly kind: "retry"; readonly delayMs: number; readonly attempt: number; readonly as: "retried" | "snoozed" }
  | { readonly kind: "dead"; readonly reason: ErrorCode; readonly error: unknown }
  /** Back to the queue, for another process. */
  | { readonly kind: "return" };

export interface EventPolicy {
  /** The attempt that ended, from 1. */
  readonly attempt: number;
  readonly maxAttempts: number;
  /** `ladder`: one rung higher after each failure, and then the highest. */
  readonly backoff: BackoffRule | "ladder";
  /** Delays of the rungs, ascending, at least one. */
  readonly ladderMs: readonly number[];
}

/** Decides what becomes of a delivery. Total: every outcome has exactly one verdict. Pure. */
export function decideEvent(outcome: EventOutcome, policy: EventPolicy, random: () => number): EventVerdict {
  switch (outcome.kind) {
    case "handled":
    case "duplicate":
      return { kind: "ack", as: outcome.kind };
    case "stopping":
      return { kind: "return" };
    case "threw":
      return decideThrown(outcome.error, policy, random);
    default:
      return outcome satisfies never;
  }
}

/** Failures of ours that say: not now, or not here. The same event may be handled later. */
const worthAnotherTry = new Set<ErrorCode>(["EVENT_UNHANDLED", "EVENT_COMPLETION_ROLLED_BACK"]);

function decideThrown(error: unknown, policy: EventPolicy, random: () => number): EventVerdict {
  const { attempt, maxAttempts, ladderMs } = policy;
  if (error instanceof Snoozed) {
    return { kind: "retry", delayMs: rungFor(error.delayMs, ladderMs), attempt, as: "snoozed" };
  }
  if (error instanceof WarrenError) {
    if (error.code === "EVENT_HANDLED_BEFORE") return { kind: "ack", as: "duplicate" };
    if (!error.retryable && !worthAnotherTry.has(error.code)) return { kind: "dead", reason: error.code, error };
  }
  if (attempt >= maxAttempts) {
    const unhandled = error instanceof WarrenError && error.code === "EVENT_UNHANDLED";
    return { kind: "dead", reason: unhandled ? "EVENT_UNHANDLED" : "EVENT_ATTEMPTS_EXHAUSTED", error };
  }
  const asked = retryAfterOf(error) ?? providerFailure(error)?.retryAfterMs ?? 0;
  const delayMs = Math.max(ownDelayMs(policy, random), asked);
  return { kind: "retry", delayMs: rungFor(delayMs, ladderMs), attempt: attempt + 1, as: "retried" };
}

function ownDelayMs({ attempt, backoff, ladderMs }: EventPolicy, random: () => number): number {
  if (backoff !== "ladder") return backoffDelayMs(backoff, attempt, random);
  return ladderMs[Math.min(attempt, ladderMs.length) - 1] ?? 0;
}

/** The lowest rung that is not below the delay; the highest when all are. Pure. */
export function rungFor(delayMs: number, ladderMs: readonly number[]): number {
  return ladderMs.find((rung) => rung >= delayMs) ?? ladderMs.at(-1) ?? delayMs;
}
